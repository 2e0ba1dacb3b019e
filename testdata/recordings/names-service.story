tcp shop/client (10.244.1.10) → svc/shop/web-node:http (10.96.0.81:80) on node1, kernel 6.18.44, 15 of 70 points attached in 152 ms
svc/shop/web-node:http stands for shop/web-7d9c5b8f4-abcde (10.244.2.20:8080) on node2
blind: 39 kernel functions (__ip_local_out, nf_hook_slow, ...): this kernel has neither kprobes nor fentry

#1 request tcp SYN shop/client:41467 → svc/shop/web-node:http 60 bytes
  pod shop/client on node1
        0.000 ms route      routed via node/node1 to eth0
        0.105 ms device-tx  sent out of eth0 (veth)
  node node1
        0.111 ms device-rx  received at veth2828400f (veth) of shop/client
        0.111 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.130 ms nat        DNAT: destination svc/shop/web-node:http becomes shop/web-7d9c5b8f4-abcde:8080
                            iptables-legacy nat/KUBE-SEP-7DVQY232RSQI7TWF rule 2: -p tcp -m comment
                            --comment "shop/web-node:http" -m tcp -j DNAT --to-destination
                            10.244.2.20:8080 (inferred)
        0.130 ms route      routed via node/node2 to flannel.1
        0.140 ms bridge     up from the bridge cni0 to its node
        0.155 ms device-tx  handed to the tunnel device flannel.1
        0.161 ms route      tunnel packet routed to eth0, directly connected
        0.199 ms tunnel     put into VXLAN VNI 1, node/node1 to node/node2:8472
        0.199 ms device-tx  sent out of eth0 inside VXLAN
  node node2
        0.206 ms device-rx  received at eth0 inside VXLAN
        0.213 ms route      tunnel packet routed: for this namespace
        0.224 ms tunnel     taken out of VXLAN VNI 1
        0.224 ms device-rx  comes out of the tunnel device flannel.1
        0.229 ms route      routed to cni0, directly connected
        0.242 ms neighbour  waits for the MAC address of shop/web-7d9c5b8f4-abcde on cni0
        0.259 ms bridge     handed to the bridge cni0
        0.261 ms device-tx  sent out of veth025acccc (veth) of shop/web-7d9c5b8f4-abcde
  pod shop/web-7d9c5b8f4-abcde on node2
        0.264 ms device-rx  received at eth0 (veth)
        0.265 ms route      routed: for this namespace
        0.265 ms socket     delivered to the tcp layer
  ✓ delivered

#2 reply tcp SYN,ACK shop/web-7d9c5b8f4-abcde:8080 → shop/client:41467 60 bytes
  pod shop/web-7d9c5b8f4-abcde on node2
        0.000 ms route      routed via node/node2 to eth0
        0.005 ms device-tx  sent out of eth0 (veth)
  ? no further sight of it

DELIVERED: the request reached its socket, and no answer was seen
layer: application & policy · cause: no-answer · inconclusive
what to do:
  - look at the application: accept queue (ss -ltn), CPU, logs
