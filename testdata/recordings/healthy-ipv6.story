tcp fd00:10:244:1::10 → [fd00:10:244:2::20]:8080 on node1, kernel 6.18.44, 16 of 16 points attached in 606 ms

#1 request tcp SYN [fd00:10:244:1::10]:36483 → [fd00:10:244:2::20]:8080 80 bytes
  netns nt19aeaf-client on node1
        0.000 ms route      routed via fd00:10:244:1::1 to eth0
        0.127 ms device-tx  sent out of eth0 (veth)
  node node1
        0.132 ms device-rx  received at veth2828400f (veth)
        0.132 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.135 ms bridge     up from the bridge cni0 to its node
        0.142 ms route      routed via fd00:10:244:2:: to flannel.1
        0.149 ms device-tx  handed to the tunnel device flannel.1
        0.160 ms route      tunnel packet routed to eth0, directly connected
        0.453 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
        0.453 ms route      no route (ENETUNREACH, table main)
        0.532 ms device-tx  sent out of eth0 inside VXLAN
  node node2
        0.541 ms device-rx  received at eth0 inside VXLAN
        0.552 ms route      tunnel packet routed: for this namespace
        0.583 ms tunnel     taken out of VXLAN VNI 1
        0.583 ms device-rx  comes out of the tunnel device flannel.1
        0.591 ms route      routed to cni0, directly connected
        0.607 ms neighbour  waits for the MAC address of fd00:10:244:2::20 on cni0
        0.639 ms bridge     handed to the bridge cni0
        0.641 ms device-tx  sent out of veth025acccc (veth)
  netns nt19aeaf-web-b on node2
        0.645 ms device-rx  received at eth0 (veth)
        0.647 ms route      routed: for this namespace
        0.673 ms socket     delivered to the tcp layer
  ✓ delivered

#2 reply tcp SYN,ACK [fd00:10:244:2::20]:8080 → [fd00:10:244:1::10]:36483 80 bytes
  netns nt19aeaf-web-b on node2
        0.000 ms route      routed via fd00:10:244:2::1 to eth0
        0.040 ms device-tx  sent out of eth0 (veth)
  node node2
        0.042 ms device-rx  received at veth025acccc (veth)
        0.042 ms bridge     taken by the bridge cni0 at its port veth025acccc
        0.044 ms bridge     up from the bridge cni0 to its node
        0.047 ms route      routed via fd00:10:244:1:: to flannel.1
        0.050 ms device-tx  handed to the tunnel device flannel.1
        0.053 ms route      tunnel packet routed to eth0, directly connected
        0.160 ms tunnel     put into VXLAN VNI 1, 192.168.50.2 to 192.168.50.1:8472
        0.164 ms device-tx  sent out of eth0 inside VXLAN
  node node1
        0.172 ms device-rx  received at eth0 inside VXLAN
        0.179 ms route      tunnel packet routed: for this namespace
        0.188 ms tunnel     taken out of VXLAN VNI 1
        0.188 ms device-rx  comes out of the tunnel device flannel.1
        0.192 ms route      routed to cni0, directly connected
        0.196 ms bridge     handed to the bridge cni0
        0.198 ms device-tx  sent out of veth2828400f (veth)
  netns nt19aeaf-client on node1
        0.200 ms device-rx  received at eth0 (veth)
        0.202 ms route      routed: for this namespace
        0.215 ms socket     delivered: the TCP connection is established
  ✓ delivered

#3 request tcp ACK [fd00:10:244:1::10]:36483 → [fd00:10:244:2::20]:8080 72 bytes
  netns nt19aeaf-client on node1
        0.001 ms device-tx  sent out of eth0 (veth)
  node node1
        0.003 ms device-rx  received at veth2828400f (veth)
        0.003 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.004 ms bridge     up from the bridge cni0 to its node
        0.007 ms route      routed via fd00:10:244:2:: to flannel.1
        0.009 ms device-tx  handed to the tunnel device flannel.1
        0.013 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
        0.015 ms device-tx  sent out of eth0 inside VXLAN
  node node2
        0.022 ms device-rx  received at eth0 inside VXLAN
        0.024 ms route      tunnel packet routed: for this namespace
        0.027 ms tunnel     taken out of VXLAN VNI 1
        0.027 ms device-rx  comes out of the tunnel device flannel.1
        0.030 ms route      routed to cni0, directly connected
        0.032 ms bridge     handed to the bridge cni0
        0.035 ms device-tx  sent out of veth025acccc (veth)
  netns nt19aeaf-web-b on node2
        0.036 ms device-rx  received at eth0 (veth)
        0.038 ms route      routed: for this namespace
        0.052 ms socket     delivered: the TCP connection is established
  ✓ delivered

1 more like #2

2 more like #3

DELIVERED: fd00:10:244:1::10 reaches [fd00:10:244:2::20]:8080 and the answer comes back
confirmed
evidence:
  - 4 packets of the request and 2 of the reply were followed to their socket
  - client: the probe was answered after 1 ms
probe: connected after 1 ms
