tcp 10.244.1.10 → 10.244.2.20:8080 on node1, kernel 6.18.44, 16 of 16 points attached in 219 ms

#1 request tcp SYN 10.244.1.10:55189 → 10.244.2.20:8080 60 bytes
  netns nt375dc0-client on node1
        0.000 ms route      routed via 10.244.1.1 to eth0
        0.141 ms device-tx  sent out of eth0 (veth)
  node node1
        0.147 ms device-rx  received at veth2828400f (veth)
        0.147 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.169 ms bridge     up from the bridge cni0 to its node
        0.181 ms route      routed via 10.244.2.0 to flannel.1
        0.203 ms device-tx  handed to the tunnel device flannel.1
        0.210 ms route      tunnel packet routed to eth0, directly connected
        0.261 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
        0.265 ms device-tx  sent out of eth0 inside VXLAN
  node node2
        0.273 ms device-rx  received at eth0 inside VXLAN
        0.282 ms route      tunnel packet routed: for this namespace
        0.296 ms tunnel     taken out of VXLAN VNI 1
        0.296 ms device-rx  comes out of the tunnel device flannel.1
        0.302 ms route      routed to cni0, directly connected
        0.320 ms neighbour  waits for the MAC address of 10.244.2.20 on cni0
        0.341 ms bridge     handed to the bridge cni0
        0.344 ms device-tx  sent out of veth025acccc (veth)
  netns nt375dc0-web-b on node2
        0.348 ms device-rx  received at eth0 (veth)
        0.350 ms route      routed: for this namespace
        0.370 ms socket     delivered to the tcp layer
  ✓ delivered

#2 reply tcp SYN,ACK 10.244.2.20:8080 → 10.244.1.10:55189 60 bytes
  netns nt375dc0-web-b on node2
        0.000 ms route      routed via 10.244.2.1 to eth0
        0.008 ms device-tx  sent out of eth0 (veth)
  node node2
        0.011 ms device-rx  received at veth025acccc (veth)
        0.011 ms bridge     taken by the bridge cni0 at its port veth025acccc
        0.014 ms bridge     up from the bridge cni0 to its node
        0.016 ms route      routed via 10.244.1.0 to flannel.1
        0.022 ms device-tx  handed to the tunnel device flannel.1
        0.025 ms route      tunnel packet routed to eth0, directly connected
        0.221 ms tunnel     put into VXLAN VNI 1, 192.168.50.2 to 192.168.50.1:8472
        0.224 ms device-tx  sent out of eth0 inside VXLAN
  node node1
        0.234 ms device-rx  received at eth0 inside VXLAN
        0.240 ms route      tunnel packet routed: for this namespace
        0.249 ms tunnel     taken out of VXLAN VNI 1
        0.249 ms device-rx  comes out of the tunnel device flannel.1
        0.252 ms route      routed to cni0, directly connected
        0.258 ms bridge     handed to the bridge cni0
        0.262 ms device-tx  sent out of veth2828400f (veth)
  netns nt375dc0-client on node1
        0.264 ms device-rx  received at eth0 (veth)
        0.266 ms route      routed: for this namespace
        0.278 ms socket     delivered: the TCP connection is established
  ✓ delivered

#3 request tcp ACK 10.244.1.10:55189 → 10.244.2.20:8080 52 bytes
  netns nt375dc0-client on node1
        0.000 ms device-tx  sent out of eth0 (veth)
  node node1
        0.002 ms device-rx  received at veth2828400f (veth)
        0.002 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.005 ms bridge     up from the bridge cni0 to its node
        0.007 ms route      routed via 10.244.2.0 to flannel.1
        0.012 ms device-tx  handed to the tunnel device flannel.1
        0.016 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
        0.018 ms device-tx  sent out of eth0 inside VXLAN
  node node2
        0.026 ms device-rx  received at eth0 inside VXLAN
        0.028 ms route      tunnel packet routed: for this namespace
        0.032 ms tunnel     taken out of VXLAN VNI 1
        0.032 ms device-rx  comes out of the tunnel device flannel.1
        0.034 ms route      routed to cni0, directly connected
        0.038 ms bridge     handed to the bridge cni0
        0.042 ms device-tx  sent out of veth025acccc (veth)
  netns nt375dc0-web-b on node2
        0.044 ms device-rx  received at eth0 (veth)
        0.046 ms route      routed: for this namespace
        0.062 ms socket     delivered: the TCP connection is established
  ✓ delivered

#4 request tcp PSH,ACK 10.244.1.10:55189 → 10.244.2.20:8080 1432 bytes
  netns nt375dc0-client on node1
        0.000 ms device-tx  sent out of eth0 (veth)
  node node1
        0.003 ms device-rx  received at veth2828400f (veth)
        0.003 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.007 ms bridge     up from the bridge cni0 to its node
        0.010 ms route      routed via 10.244.2.0 to flannel.1
        0.017 ms device-tx  handed to the tunnel device flannel.1
        0.022 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
        0.023 ms device-tx  sent out of eth0 inside VXLAN
  → left the node

5 more like #4 (5 sent again)

LOST: packets of 1432 bytes vanish between node1 and 192.168.50.2, those up to 60 bytes arrive: the network between the nodes has a smaller MTU than they think
layer: underlay · cause: underlay-mtu-silent · likely · on node1
evidence:
  - kernel: 6 packets of 1432 bytes and more left node1 at eth0 inside VXLAN (50 bytes more) and
    were not seen again; no drop was reported
  - kernel: 2 packets of up to 60 bytes crossed in the same direction
  - client: the probe timed out after 3000 ms; it had sent 1380 bytes
what to do:
  - on node1: ping -M do -s SIZE 192.168.50.2 with growing sizes shows what passes
  - raise the MTU of the network between the nodes, or set the CNI's MTU to what passes less 50
probe: timeout after 3000 ms
