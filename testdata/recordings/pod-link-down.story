tcp 10.244.1.10 → 10.244.2.20:8080 on node1, kernel 6.18.44, 16 of 16 points attached in 231 ms

#1 request tcp SYN 10.244.1.10:48381 → 10.244.2.20:8080 60 bytes
  netns ntd5a4b1-client on node1
        0.000 ms route      routed via 10.244.1.1 to eth0
        0.088 ms device-tx  sent out of eth0 (veth)
  node node1
        0.093 ms device-rx  received at veth2828400f (veth)
        0.093 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.111 ms bridge     up from the bridge cni0 to its node
        0.121 ms route      routed via 10.244.2.0 to flannel.1
        0.138 ms device-tx  handed to the tunnel device flannel.1
        0.145 ms route      tunnel packet routed to eth0, directly connected
        0.184 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
        0.187 ms device-tx  sent out of eth0 inside VXLAN
  node node2
        0.193 ms device-rx  received at eth0 inside VXLAN
        0.200 ms route      tunnel packet routed: for this namespace
        0.212 ms tunnel     taken out of VXLAN VNI 1
        0.212 ms device-rx  comes out of the tunnel device flannel.1
        0.217 ms route      routed to cni0, directly connected
        0.233 ms neighbour  waits for the MAC address of 10.244.2.20 on cni0
     3076.075 ms drop       dropped in neigh_invalidate at cni0, reason NEIGH_FAILED; answered with ICMP host unreachable
  ✗ dropped

2 more like #1 (2 sent again)

#5 related icmp host unreachable 10.244.2.0 → 10.244.1.10 88 bytes
  node node2
        0.000 ms device-tx  handed to the tunnel device flannel.1
        0.007 ms route      tunnel packet routed to eth0, directly connected
        0.076 ms tunnel     put into VXLAN VNI 1, 192.168.50.2 to 192.168.50.1:8472
        0.078 ms device-tx  sent out of eth0 inside VXLAN
  node node1
        0.255 ms device-rx  received at eth0 inside VXLAN
        0.260 ms route      tunnel packet routed: for this namespace
        0.286 ms tunnel     taken out of VXLAN VNI 1
        0.286 ms device-rx  comes out of the tunnel device flannel.1
        0.296 ms bridge     handed to the bridge cni0
        0.300 ms device-tx  sent out of veth2828400f (veth)
  netns ntd5a4b1-client on node1
        0.324 ms device-rx  received at eth0 (veth)
        0.328 ms route      routed: for this namespace
        0.352 ms socket     delivered to the sender of the packet that it is about
  ✓ delivered

2 more like #5

#4 request tcp SYN 10.244.1.10:48381 → 10.244.2.20:8080 60 bytes, attempt 4
  netns ntd5a4b1-client on node1
        0.000 ms device-tx  sent out of eth0 (veth)
  node node1
        0.377 ms device-rx  received at veth2828400f (veth)
        0.377 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.387 ms bridge     up from the bridge cni0 to its node
        0.393 ms route      routed via 10.244.2.0 to flannel.1
        0.402 ms device-tx  handed to the tunnel device flannel.1
        0.416 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
        0.420 ms device-tx  sent out of eth0 inside VXLAN
  node node2
        0.460 ms device-rx  received at eth0 inside VXLAN
        0.464 ms route      tunnel packet routed: for this namespace
        0.498 ms tunnel     taken out of VXLAN VNI 1
        0.498 ms device-rx  comes out of the tunnel device flannel.1
        0.500 ms route      routed to cni0, directly connected
        0.508 ms neighbour  waits for the MAC address of 10.244.2.20 on cni0
  ? no further sight of it

DROPPED: the pod 10.244.2.20 does not answer ARP on node2: veth025acccc, the pod's device on node2, is down
layer: pod network · cause: pod-link-down · confirmed · on node2
evidence:
  - kernel: neigh_invalidate dropped SYN 10.244.1.10:48381 → 10.244.2.20:8080 on node2 at cni0,
    reason NEIGH_FAILED, and sent ICMP host unreachable
  - state: veth025acccc, the pod's device on node2, is down
  - it happened to 3 packets
  - client: the probe was told that the destination is unreachable after 3076 ms
what to do:
  - on node2: ip neigh show 10.244.2.20; ip link; bridge link
probe: unreachable after 3076 ms
