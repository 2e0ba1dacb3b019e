tcp shop/client (10.244.1.10) → svc/shop/web:http (10.96.0.80:80) on node1 and node2, kernel 6.18.44, 15 of 91 points attached in 1369 ms
svc/shop/web:http stands for shop/web-7d9c5b8f4-fghij (10.244.1.20:8080) on node1;
shop/web-7d9c5b8f4-abcde (10.244.2.20:8080) on node2
blind: 55 kernel functions (__ip_local_out, nf_hook_slow, ...): this kernel has neither kprobes nor fentry

#1 request tcp SYN shop/client:44057 → svc/shop/web:http 60 bytes
  pod shop/client on node1
        0.000 ms route      routed via node/node1 to eth0
        0.153 ms device-tx  sent out of eth0 (veth)
  node node1
        0.167 ms device-rx  received at veth2828400f (veth) of shop/client
        0.167 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.208 ms nat        DNAT: destination svc/shop/web:http becomes shop/web-7d9c5b8f4-abcde:8080
                            iptables-legacy nat/KUBE-SEP-KOXQODHDB22IS2XZ rule 2: -p tcp -m comment
                            --comment "shop/web:http" -m tcp -j DNAT --to-destination
                            10.244.2.20:8080 (inferred)
        0.208 ms route      routed via node/node2 to flannel.1
        0.226 ms bridge     up from the bridge cni0 to its node
        0.251 ms device-tx  handed to the tunnel device flannel.1
        0.263 ms route      tunnel packet routed to eth0, directly connected
        0.435 ms tunnel     put into VXLAN VNI 1, node/node1 to node/node2:8472
        0.435 ms device-tx  sent out of eth0 inside VXLAN
  node node2
        0.457 ms device-rx  received at eth0 inside VXLAN
        0.472 ms route      tunnel packet routed: for this namespace
        0.492 ms tunnel     taken out of VXLAN VNI 1
        0.492 ms device-rx  comes out of the tunnel device flannel.1
        0.503 ms route      routed to cni0, directly connected
        0.555 ms neighbour  waits for the MAC address of shop/web-7d9c5b8f4-abcde on cni0
        0.598 ms bridge     handed to the bridge cni0
        0.605 ms device-tx  sent out of veth025acccc (veth) of shop/web-7d9c5b8f4-abcde
  pod shop/web-7d9c5b8f4-abcde on node2
        0.614 ms device-rx  received at eth0 (veth)
        0.618 ms route      routed: for this namespace
        0.649 ms socket     delivered to the tcp layer
  ✓ delivered

#2 reply tcp SYN,ACK shop/web-7d9c5b8f4-abcde:8080 → shop/client:44057 60 bytes
  pod shop/web-7d9c5b8f4-abcde on node2
        0.000 ms route      routed via node/node2 to eth0
        0.013 ms device-tx  sent out of eth0 (veth)
  node node2
        0.019 ms device-rx  received at veth025acccc (veth) of shop/web-7d9c5b8f4-abcde
        0.019 ms bridge     taken by the bridge cni0 at its port veth025acccc
        0.027 ms bridge     up from the bridge cni0 to its node
        0.033 ms route      routed via node/node1 to flannel.1
        0.044 ms device-tx  handed to the tunnel device flannel.1
        0.050 ms route      tunnel packet routed to eth0, directly connected
        0.098 ms tunnel     put into VXLAN VNI 1, node/node2 to node/node1:8472
        0.098 ms device-tx  sent out of eth0 inside VXLAN
  node node1
        0.115 ms device-rx  received at eth0 inside VXLAN
        0.127 ms route      tunnel packet routed: for this namespace
        0.140 ms tunnel     taken out of VXLAN VNI 1
        0.140 ms device-rx  comes out of the tunnel device flannel.1
        0.147 ms route      routed to cni0, directly connected
        0.160 ms nat        DNAT undone: source shop/web-7d9c5b8f4-abcde:8080 becomes svc/shop/web:http again
        0.160 ms bridge     handed to the bridge cni0
        0.167 ms device-tx  sent out of veth2828400f (veth) of shop/client
  pod shop/client on node1
        0.172 ms device-rx  received at eth0 (veth)
        0.177 ms route      routed: for this namespace
        0.194 ms socket     delivered: the TCP connection is established
  ✓ delivered

#3 request tcp ACK shop/client:44057 → svc/shop/web:http 52 bytes
  pod shop/client on node1
        0.000 ms device-tx  sent out of eth0 (veth)
  node node1
        0.003 ms device-rx  received at veth2828400f (veth) of shop/client
        0.003 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.011 ms nat        DNAT: destination svc/shop/web:http becomes shop/web-7d9c5b8f4-abcde:8080
                            iptables-legacy nat/KUBE-SEP-KOXQODHDB22IS2XZ rule 2: -p tcp -m comment
                            --comment "shop/web:http" -m tcp -j DNAT --to-destination
                            10.244.2.20:8080 (inferred)
        0.011 ms route      routed via node/node2 to flannel.1
        0.017 ms bridge     up from the bridge cni0 to its node
        0.025 ms device-tx  handed to the tunnel device flannel.1
        0.036 ms tunnel     put into VXLAN VNI 1, node/node1 to node/node2:8472
        0.036 ms device-tx  sent out of eth0 inside VXLAN
  node node2
        0.053 ms device-rx  received at eth0 inside VXLAN
        0.058 ms route      tunnel packet routed: for this namespace
        0.068 ms tunnel     taken out of VXLAN VNI 1
        0.068 ms device-rx  comes out of the tunnel device flannel.1
        0.072 ms route      routed to cni0, directly connected
        0.081 ms bridge     handed to the bridge cni0
        0.086 ms device-tx  sent out of veth025acccc (veth) of shop/web-7d9c5b8f4-abcde
  pod shop/web-7d9c5b8f4-abcde on node2
        0.092 ms device-rx  received at eth0 (veth)
        0.095 ms route      routed: for this namespace
        0.116 ms socket     delivered: the TCP connection is established
  ✓ delivered

1 more like #2, 2 more like #3

DELIVERED: shop/client (10.244.1.10) reaches svc/shop/web:http (10.96.0.80:80) and the answer comes back
confirmed
evidence:
  - 4 packets of the request and 2 of the reply were followed to their socket, 6 of them from one
    node to another
  - node1: svc/shop/web:http (10.96.0.80:80) was translated to shop/web-7d9c5b8f4-abcde:8080
    (10.244.2.20:8080) on node1
  - node1: client: the probe was answered after 16 ms
  - clocks: node2's is 500.0 ms ahead of node1's, give or take 0.016 ms (6 packets, both ways)
probe: connected after 16 ms
