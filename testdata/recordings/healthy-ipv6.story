tcp fd00:10:244:1::10 → [fd00:10:244:2::20]:8080 on node1, kernel 6.18.44, 16 of 16 points attached in 204 ms

#1 request tcp SYN [fd00:10:244:1::10]:53379 → [fd00:10:244:2::20]:8080 80 bytes
  netns ntcf1b64-client on node1
        0.000 ms route      routed via fd00:10:244:1::1 to eth0
        0.181 ms device-tx  sent out of eth0 (veth)
  node node1
        0.186 ms device-rx  received at veth2828400f (veth)
        0.186 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.188 ms bridge     up from the bridge cni0 to its node
        0.194 ms route      routed via fd00:10:244:2:: to flannel.1
        0.200 ms device-tx  handed to the tunnel device flannel.1
        0.210 ms route      tunnel packet routed to eth0, directly connected
        0.684 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
        0.693 ms device-tx  sent out of eth0 inside VXLAN
  node node2
        0.700 ms device-rx  received at eth0 inside VXLAN
        0.709 ms route      tunnel packet routed: for this namespace
        0.721 ms tunnel     taken out of VXLAN VNI 1
        0.721 ms device-rx  comes out of the tunnel device flannel.1
        0.727 ms route      routed to cni0, directly connected
        0.738 ms neighbour  waits for the MAC address of fd00:10:244:2::20 on cni0
        0.764 ms bridge     handed to the bridge cni0
        0.766 ms device-tx  sent out of veth025acccc (veth)
  netns ntcf1b64-web-b on node2
        0.768 ms device-rx  received at eth0 (veth)
        0.770 ms route      routed: for this namespace
        0.790 ms socket     delivered to the tcp layer
  ✓ delivered

#2 reply tcp SYN,ACK [fd00:10:244:2::20]:8080 → [fd00:10:244:1::10]:53379 80 bytes
  netns ntcf1b64-web-b on node2
        0.000 ms route      routed via fd00:10:244:2::1 to eth0
        0.031 ms device-tx  sent out of eth0 (veth)
  node node2
        0.033 ms device-rx  received at veth025acccc (veth)
        0.033 ms bridge     taken by the bridge cni0 at its port veth025acccc
        0.035 ms bridge     up from the bridge cni0 to its node
        0.037 ms route      routed via fd00:10:244:1:: to flannel.1
        0.041 ms device-tx  handed to the tunnel device flannel.1
        0.042 ms route      tunnel packet routed to eth0, directly connected
        0.052 ms tunnel     put into VXLAN VNI 1, 192.168.50.2 to 192.168.50.1:8472
        0.054 ms device-tx  sent out of eth0 inside VXLAN
  node node1
        0.060 ms device-rx  received at eth0 inside VXLAN
        0.064 ms route      tunnel packet routed: for this namespace
        0.070 ms tunnel     taken out of VXLAN VNI 1
        0.070 ms device-rx  comes out of the tunnel device flannel.1
        0.073 ms route      routed to cni0, directly connected
        0.075 ms bridge     handed to the bridge cni0
        0.077 ms device-tx  sent out of veth2828400f (veth)
  netns ntcf1b64-client on node1
        0.078 ms device-rx  received at eth0 (veth)
        0.079 ms route      routed: for this namespace
        0.088 ms socket     delivered: the TCP connection is established
  ✓ delivered

#3 request tcp ACK [fd00:10:244:1::10]:53379 → [fd00:10:244:2::20]:8080 72 bytes
  netns ntcf1b64-client on node1
        0.000 ms device-tx  sent out of eth0 (veth)
  node node1
        0.001 ms device-rx  received at veth2828400f (veth)
        0.001 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.002 ms bridge     up from the bridge cni0 to its node
        0.005 ms route      routed via fd00:10:244:2:: to flannel.1
        0.007 ms device-tx  handed to the tunnel device flannel.1
        0.010 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
        0.012 ms device-tx  sent out of eth0 inside VXLAN
  node node2
        0.017 ms device-rx  received at eth0 inside VXLAN
        0.019 ms route      tunnel packet routed: for this namespace
        0.022 ms tunnel     taken out of VXLAN VNI 1
        0.022 ms device-rx  comes out of the tunnel device flannel.1
        0.024 ms route      routed to cni0, directly connected
        0.026 ms bridge     handed to the bridge cni0
        0.027 ms device-tx  sent out of veth025acccc (veth)
  netns ntcf1b64-web-b on node2
        0.028 ms device-rx  received at eth0 (veth)
        0.029 ms route      routed: for this namespace
        0.056 ms socket     delivered: the TCP connection is established
  ✓ delivered

1 more like #2, 2 more like #3

DELIVERED: fd00:10:244:1::10 reaches [fd00:10:244:2::20]:8080 and the answer comes back
confirmed
evidence:
  - 4 packets of the request and 2 of the reply were followed to their socket
  - client: the probe was answered after 1 ms
probe: connected after 1 ms
