tcp 10.244.1.10 → 10.244.2.20:8080 on node1, kernel 6.18.44, 16 of 16 points attached in 518 ms

#1 request tcp SYN 10.244.1.10:47053 → 10.244.2.20:8080 60 bytes
  netns nte69af6-client on node1
        0.000 ms route      routed via 10.244.1.1 to eth0
        0.199 ms device-tx  sent out of eth0 (veth)
  node node1
        0.214 ms device-rx  received at veth2828400f (veth)
        0.214 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.249 ms bridge     up from the bridge cni0 to its node
        0.263 ms route      routed via 10.244.2.0 to flannel.1
        0.298 ms device-tx  handed to the tunnel device flannel.1
        0.307 ms route      tunnel packet routed to eth0, directly connected
        0.352 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
        0.352 ms route      no route (ENETUNREACH, table main)
        0.414 ms device-tx  sent out of eth0 inside VXLAN
  node node2
        0.427 ms device-rx  received at eth0 inside VXLAN
        0.453 ms route      tunnel packet routed: for this namespace
        0.535 ms tunnel     taken out of VXLAN VNI 1
        0.535 ms device-rx  comes out of the tunnel device flannel.1
        0.565 ms route      routed to cni0, directly connected
        0.634 ms neighbour  waits for the MAC address of 10.244.2.20 on cni0
     3056.483 ms drop       dropped in neigh_invalidate at cni0, reason NEIGH_FAILED; answered with ICMP host unreachable
  ✗ dropped

#2 request tcp SYN 10.244.1.10:47053 → 10.244.2.20:8080 60 bytes, attempt 2
  netns nte69af6-client on node1
        0.024 ms device-tx  sent out of eth0 (veth)
  node node1
        0.115 ms device-rx  received at veth2828400f (veth)
        0.115 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.138 ms bridge     up from the bridge cni0 to its node
        0.153 ms route      routed via 10.244.2.0 to flannel.1
        0.180 ms device-tx  handed to the tunnel device flannel.1
        0.192 ms route      tunnel packet routed to eth0, directly connected
        0.225 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
        0.239 ms device-tx  sent out of eth0 inside VXLAN
  node node2
        0.261 ms device-rx  received at eth0 inside VXLAN
        0.276 ms route      tunnel packet routed: for this namespace
        0.295 ms tunnel     taken out of VXLAN VNI 1
        0.295 ms device-rx  comes out of the tunnel device flannel.1
        0.303 ms route      routed to cni0, directly connected
        0.314 ms neighbour  waits for the MAC address of 10.244.2.20 on cni0
     2048.286 ms drop       dropped in neigh_invalidate at cni0, reason NEIGH_FAILED; answered with ICMP host unreachable
  ✗ dropped

1 more like #2 (1 sent again)

#5 related icmp host unreachable 10.244.2.0 → 10.244.1.10 88 bytes
  node node2
        0.005 ms device-tx  handed to the tunnel device flannel.1
        0.015 ms route      tunnel packet routed to eth0, directly connected
        0.089 ms tunnel     put into VXLAN VNI 1, 192.168.50.2 to 192.168.50.1:8472
        0.106 ms device-tx  sent out of eth0 inside VXLAN
  node node1
        0.405 ms device-rx  received at eth0 inside VXLAN
        0.413 ms route      tunnel packet routed: for this namespace
        0.478 ms tunnel     taken out of VXLAN VNI 1
        0.478 ms device-rx  comes out of the tunnel device flannel.1
        0.497 ms bridge     handed to the bridge cni0
        0.505 ms device-tx  sent out of veth2828400f (veth)
  netns nte69af6-client on node1
        0.563 ms device-rx  received at eth0 (veth)
        0.568 ms route      routed: for this namespace
        0.598 ms socket     delivered to the sender of the packet that it is about
  ✓ delivered

2 more like #5

#4 request tcp SYN 10.244.1.10:47053 → 10.244.2.20:8080 60 bytes, attempt 4
  netns nte69af6-client on node1
        0.046 ms device-tx  sent out of eth0 (veth)
  node node1
        0.441 ms device-rx  received at veth2828400f (veth)
        0.441 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.458 ms bridge     up from the bridge cni0 to its node
        0.468 ms route      routed via 10.244.2.0 to flannel.1
        0.485 ms device-tx  handed to the tunnel device flannel.1
        0.506 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
        0.513 ms device-tx  sent out of eth0 inside VXLAN
  node node2
        0.613 ms device-rx  received at eth0 inside VXLAN
        0.621 ms route      tunnel packet routed: for this namespace
        0.688 ms tunnel     taken out of VXLAN VNI 1
        0.688 ms device-rx  comes out of the tunnel device flannel.1
        0.692 ms route      routed to cni0, directly connected
        0.708 ms neighbour  waits for the MAC address of 10.244.2.20 on cni0
  ? no further sight of it

DROPPED: the pod 10.244.2.20 does not answer ARP on node2: veth025acccc, the pod's device on node2, is down
layer: pod network · cause: pod-link-down · confirmed · on node2
evidence:
  - kernel: neigh_invalidate dropped SYN 10.244.1.10:47053 → 10.244.2.20:8080 on node2 at cni0,
    reason NEIGH_FAILED, and sent ICMP host unreachable
  - state: veth025acccc, the pod's device on node2, is down
  - it happened to 3 packets
  - client: the probe was told that the destination is unreachable after 3058 ms
what to do:
  - on node2: ip neigh show 10.244.2.20; ip link; bridge link
probe: unreachable after 3058 ms
