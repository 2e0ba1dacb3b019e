tcp 10.244.1.10 → 10.96.0.81:80 on node1, kernel 6.18.44, 16 of 16 points attached in 258 ms

#1 request tcp SYN 10.244.1.10:35613 → 10.96.0.81:80 60 bytes
  netns nt82efec-client on node1
        0.000 ms route      routed via 10.244.1.1 to eth0
        0.131 ms device-tx  sent out of eth0 (veth)
  node node1
        0.138 ms device-rx  received at veth2828400f (veth)
        0.138 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.164 ms nat        DNAT: destination 10.96.0.81:80 becomes 10.244.2.20:8080 for svc/shop/web-node:http
                            iptables-legacy nat/KUBE-SEP-7DVQY232RSQI7TWF rule 2: -p tcp -m comment
                            --comment "shop/web-node:http" -m tcp -j DNAT --to-destination
                            10.244.2.20:8080 (inferred)
        0.164 ms route      routed via 10.244.2.0 to flannel.1
        0.179 ms bridge     up from the bridge cni0 to its node
        0.205 ms device-tx  handed to the tunnel device flannel.1
        0.212 ms route      tunnel packet routed to eth0, directly connected
        0.485 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
        0.490 ms device-tx  sent out of eth0 inside VXLAN
  node node2
        0.499 ms device-rx  received at eth0 inside VXLAN
        0.508 ms route      tunnel packet routed: for this namespace
        0.525 ms tunnel     taken out of VXLAN VNI 1
        0.525 ms device-rx  comes out of the tunnel device flannel.1
        0.532 ms route      routed to cni0, directly connected
        0.550 ms neighbour  waits for the MAC address of 10.244.2.20 on cni0
        0.573 ms bridge     handed to the bridge cni0
        0.577 ms device-tx  sent out of veth025acccc (veth)
  netns nt82efec-web-b on node2
        0.581 ms device-rx  received at eth0 (veth)
        0.583 ms route      routed: for this namespace
        0.603 ms socket     delivered to the tcp layer
  ✓ delivered

#2 reply tcp SYN,ACK 10.244.2.20:8080 → 10.244.1.10:35613 60 bytes
  netns nt82efec-web-b on node2
        0.000 ms route      routed via 10.244.2.1 to eth0
        0.008 ms device-tx  sent out of eth0 (veth)
  node node2
        0.011 ms device-rx  received at veth025acccc (veth)
        0.011 ms bridge     taken by the bridge cni0 at its port veth025acccc
        0.014 ms bridge     up from the bridge cni0 to its node
        0.017 ms route      routed via 10.244.1.0 to flannel.1
        0.022 ms device-tx  handed to the tunnel device flannel.1
        0.026 ms route      tunnel packet routed to eth0, directly connected
        0.160 ms tunnel     put into VXLAN VNI 1, 192.168.50.2 to 192.168.50.1:8472
        0.164 ms device-tx  sent out of eth0 inside VXLAN
  node node1
        0.173 ms device-rx  received at eth0 inside VXLAN
        0.179 ms route      tunnel packet routed: for this namespace
        0.188 ms tunnel     taken out of VXLAN VNI 1
        0.188 ms device-rx  comes out of the tunnel device flannel.1
        0.193 ms route      routed to cni0, directly connected
        0.200 ms nat        DNAT undone: source 10.244.2.20:8080 becomes 10.96.0.81:80 again
        0.202 ms bridge     handed to the bridge cni0
        0.207 ms device-tx  sent out of veth2828400f (veth)
  netns nt82efec-client on node1
        0.209 ms device-rx  received at eth0 (veth)
        0.212 ms route      routed: for this namespace
        0.225 ms socket     delivered: the TCP connection is established
  ✓ delivered

#3 request tcp ACK 10.244.1.10:35613 → 10.96.0.81:80 52 bytes
  netns nt82efec-client on node1
        0.000 ms device-tx  sent out of eth0 (veth)
  node node1
        0.002 ms device-rx  received at veth2828400f (veth)
        0.002 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.005 ms nat        DNAT: destination 10.96.0.81:80 becomes 10.244.2.20:8080 for svc/shop/web-node:http
                            iptables-legacy nat/KUBE-SEP-7DVQY232RSQI7TWF rule 2: -p tcp -m comment
                            --comment "shop/web-node:http" -m tcp -j DNAT --to-destination
                            10.244.2.20:8080 (inferred)
        0.005 ms route      routed via 10.244.2.0 to flannel.1
        0.007 ms bridge     up from the bridge cni0 to its node
        0.012 ms device-tx  handed to the tunnel device flannel.1
        0.017 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
        0.019 ms device-tx  sent out of eth0 inside VXLAN
  node node2
        0.026 ms device-rx  received at eth0 inside VXLAN
        0.029 ms route      tunnel packet routed: for this namespace
        0.033 ms tunnel     taken out of VXLAN VNI 1
        0.033 ms device-rx  comes out of the tunnel device flannel.1
        0.036 ms route      routed to cni0, directly connected
        0.040 ms bridge     handed to the bridge cni0
        0.044 ms device-tx  sent out of veth025acccc (veth)
  netns nt82efec-web-b on node2
        0.046 ms device-rx  received at eth0 (veth)
        0.048 ms route      routed: for this namespace
        0.065 ms socket     delivered: the TCP connection is established
  ✓ delivered

1 more like #2, 2 more like #3

DELIVERED: 10.244.1.10 reaches 10.96.0.81:80 and the answer comes back
confirmed
evidence:
  - 4 packets of the request and 2 of the reply were followed to their socket
  - 10.96.0.81:80 was translated to 10.244.2.20:8080 on node1 for svc/shop/web-node:http
  - client: the probe was answered after 10 ms
probe: connected after 10 ms
