tcp 10.244.1.10 → 10.96.0.81:80 on node1, kernel 6.18.44, 16 of 16 points attached in 515 ms

#1 request tcp SYN 10.244.1.10:34483 → 10.96.0.81:80 60 bytes
  netns nt798f78-client on node1
        0.000 ms route      routed via 10.244.1.1 to eth0
        0.178 ms device-tx  sent out of eth0 (veth)
  node node1
        0.185 ms device-rx  received at veth2828400f (veth)
        0.185 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.209 ms nat        DNAT: destination 10.96.0.81:80 becomes 10.244.2.20:8080 for svc/shop/web-node:http
                            iptables-legacy nat/KUBE-SEP-7DVQY232RSQI7TWF rule 2: -p tcp -m comment
                            --comment "shop/web-node:http" -m tcp -j DNAT --to-destination
                            10.244.2.20:8080 (inferred)
        0.209 ms route      routed via 10.244.2.0 to flannel.1
        0.277 ms bridge     up from the bridge cni0 to its node
        0.312 ms device-tx  handed to the tunnel device flannel.1
        0.322 ms route      tunnel packet routed to eth0, directly connected
        0.539 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
        0.539 ms route      no route (ENETUNREACH, table main)
        0.588 ms device-tx  sent out of eth0 inside VXLAN
  node node2
        0.602 ms device-rx  received at eth0 inside VXLAN
        0.614 ms route      tunnel packet routed: for this namespace
        0.651 ms tunnel     taken out of VXLAN VNI 1
        0.651 ms device-rx  comes out of the tunnel device flannel.1
        0.661 ms route      routed to cni0, directly connected
        0.719 ms neighbour  waits for the MAC address of 10.244.2.20 on cni0
        0.785 ms bridge     handed to the bridge cni0
        0.792 ms device-tx  sent out of veth025acccc (veth)
  netns nt798f78-web-b on node2
        0.798 ms device-rx  received at eth0 (veth)
        0.801 ms route      routed: for this namespace
        0.862 ms socket     delivered to the tcp layer
  ✓ delivered

#2 reply tcp SYN,ACK 10.244.2.20:8080 → 10.244.1.10:34483 60 bytes
  netns nt798f78-web-b on node2
        0.000 ms route      routed via 10.244.2.1 to eth0
        0.039 ms device-tx  sent out of eth0 (veth)
  node node2
        0.061 ms device-rx  received at veth025acccc (veth)
        0.061 ms bridge     taken by the bridge cni0 at its port veth025acccc
        0.075 ms bridge     up from the bridge cni0 to its node
        0.086 ms route      routed via 10.244.1.0 to flannel.1
        0.109 ms device-tx  handed to the tunnel device flannel.1
        0.114 ms route      tunnel packet routed to eth0, directly connected
        0.231 ms tunnel     put into VXLAN VNI 1, 192.168.50.2 to 192.168.50.1:8472
        0.238 ms device-tx  sent out of eth0 inside VXLAN
  node node1
        0.251 ms device-rx  received at eth0 inside VXLAN
        0.277 ms route      tunnel packet routed: for this namespace
        0.288 ms tunnel     taken out of VXLAN VNI 1
        0.288 ms device-rx  comes out of the tunnel device flannel.1
        0.293 ms route      routed to cni0, directly connected
        0.304 ms nat        DNAT undone: source 10.244.2.20:8080 becomes 10.96.0.81:80 again
        0.308 ms bridge     handed to the bridge cni0
        0.315 ms device-tx  sent out of veth2828400f (veth)
  netns nt798f78-client on node1
        0.318 ms device-rx  received at eth0 (veth)
        0.322 ms route      routed: for this namespace
        0.337 ms socket     delivered: the TCP connection is established
  ✓ delivered

#3 request tcp ACK 10.244.1.10:34483 → 10.96.0.81:80 52 bytes
  netns nt798f78-client on node1
        0.002 ms device-tx  sent out of eth0 (veth)
  node node1
        0.004 ms device-rx  received at veth2828400f (veth)
        0.004 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.009 ms nat        DNAT: destination 10.96.0.81:80 becomes 10.244.2.20:8080 for svc/shop/web-node:http
                            iptables-legacy nat/KUBE-SEP-7DVQY232RSQI7TWF rule 2: -p tcp -m comment
                            --comment "shop/web-node:http" -m tcp -j DNAT --to-destination
                            10.244.2.20:8080 (inferred)
        0.009 ms route      routed via 10.244.2.0 to flannel.1
        0.013 ms bridge     up from the bridge cni0 to its node
        0.020 ms device-tx  handed to the tunnel device flannel.1
        0.027 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
        0.030 ms device-tx  sent out of eth0 inside VXLAN
  node node2
        0.041 ms device-rx  received at eth0 inside VXLAN
        0.045 ms route      tunnel packet routed: for this namespace
        0.051 ms tunnel     taken out of VXLAN VNI 1
        0.051 ms device-rx  comes out of the tunnel device flannel.1
        0.055 ms route      routed to cni0, directly connected
        0.063 ms bridge     handed to the bridge cni0
        0.069 ms device-tx  sent out of veth025acccc (veth)
  netns nt798f78-web-b on node2
        0.072 ms device-rx  received at eth0 (veth)
        0.075 ms route      routed: for this namespace
        0.096 ms socket     delivered: the TCP connection is established
  ✓ delivered

1 more like #2

2 more like #3

DELIVERED: 10.244.1.10 reaches 10.96.0.81:80 and the answer comes back
confirmed
evidence:
  - 4 packets of the request and 2 of the reply were followed to their socket
  - 10.96.0.81:80 was translated to 10.244.2.20:8080 on node1 for svc/shop/web-node:http
  - client: the probe was answered after 1 ms
probe: connected after 1 ms
