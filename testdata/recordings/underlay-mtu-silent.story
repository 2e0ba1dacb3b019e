tcp 10.244.1.10 → 10.244.2.20:8080 on node1, kernel 6.18.44, 16 of 16 points attached in 863 ms

#1 request tcp SYN 10.244.1.10:45645 → 10.244.2.20:8080 60 bytes
  netns nt0364f2-client on node1
        0.000 ms route      routed via 10.244.1.1 to eth0
        0.114 ms device-tx  sent out of eth0 (veth)
  node node1
        0.118 ms device-rx  received at veth2828400f (veth)
        0.118 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.137 ms bridge     up from the bridge cni0 to its node
        0.147 ms route      routed via 10.244.2.0 to flannel.1
        0.229 ms device-tx  handed to the tunnel device flannel.1
        0.236 ms route      tunnel packet routed to eth0, directly connected
        0.414 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
        0.414 ms route      no route (ENETUNREACH, table main)
        0.465 ms device-tx  sent out of eth0 inside VXLAN
  node node2
        0.472 ms device-rx  received at eth0 inside VXLAN
        0.491 ms route      tunnel packet routed: for this namespace
        0.506 ms tunnel     taken out of VXLAN VNI 1
        0.506 ms device-rx  comes out of the tunnel device flannel.1
        0.514 ms route      routed to cni0, directly connected
        0.529 ms neighbour  waits for the MAC address of 10.244.2.20 on cni0
        0.548 ms bridge     handed to the bridge cni0
        0.551 ms device-tx  sent out of veth025acccc (veth)
  netns nt0364f2-web-b on node2
        0.554 ms device-rx  received at eth0 (veth)
        0.558 ms route      routed: for this namespace
        0.579 ms socket     delivered to the tcp layer
  ✓ delivered

#2 reply tcp SYN,ACK 10.244.2.20:8080 → 10.244.1.10:45645 60 bytes
  netns nt0364f2-web-b on node2
        0.000 ms route      routed via 10.244.2.1 to eth0
        0.009 ms device-tx  sent out of eth0 (veth)
  node node2
        0.011 ms device-rx  received at veth025acccc (veth)
        0.011 ms bridge     taken by the bridge cni0 at its port veth025acccc
        0.015 ms bridge     up from the bridge cni0 to its node
        0.017 ms route      routed via 10.244.1.0 to flannel.1
        0.023 ms device-tx  handed to the tunnel device flannel.1
        0.025 ms route      tunnel packet routed to eth0, directly connected
        0.115 ms tunnel     put into VXLAN VNI 1, 192.168.50.2 to 192.168.50.1:8472
        0.118 ms device-tx  sent out of eth0 inside VXLAN
  node node1
        0.129 ms device-rx  received at eth0 inside VXLAN
        0.134 ms route      tunnel packet routed: for this namespace
        0.144 ms tunnel     taken out of VXLAN VNI 1
        0.144 ms device-rx  comes out of the tunnel device flannel.1
        0.147 ms route      routed to cni0, directly connected
        0.153 ms bridge     handed to the bridge cni0
        0.158 ms device-tx  sent out of veth2828400f (veth)
  netns nt0364f2-client on node1
        0.160 ms device-rx  received at eth0 (veth)
        0.161 ms route      routed: for this namespace
        0.171 ms socket     delivered: the TCP connection is established
  ✓ delivered

#3 request tcp ACK 10.244.1.10:45645 → 10.244.2.20:8080 52 bytes
  netns nt0364f2-client on node1
        0.001 ms device-tx  sent out of eth0 (veth)
  node node1
        0.002 ms device-rx  received at veth2828400f (veth)
        0.002 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.004 ms bridge     up from the bridge cni0 to its node
        0.006 ms route      routed via 10.244.2.0 to flannel.1
        0.009 ms device-tx  handed to the tunnel device flannel.1
        0.019 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
        0.021 ms device-tx  sent out of eth0 inside VXLAN
  node node2
        0.028 ms device-rx  received at eth0 inside VXLAN
        0.031 ms route      tunnel packet routed: for this namespace
        0.035 ms tunnel     taken out of VXLAN VNI 1
        0.035 ms device-rx  comes out of the tunnel device flannel.1
        0.038 ms route      routed to cni0, directly connected
        0.042 ms bridge     handed to the bridge cni0
        0.046 ms device-tx  sent out of veth025acccc (veth)
  netns nt0364f2-web-b on node2
        0.048 ms device-rx  received at eth0 (veth)
        0.049 ms route      routed: for this namespace
        0.062 ms socket     delivered: the TCP connection is established
  ✓ delivered

#4 request tcp PSH,ACK 10.244.1.10:45645 → 10.244.2.20:8080 1432 bytes
  netns nt0364f2-client on node1
        0.002 ms device-tx  sent out of eth0 (veth)
  node node1
        0.007 ms device-rx  received at veth2828400f (veth)
        0.007 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.012 ms bridge     up from the bridge cni0 to its node
        0.015 ms route      routed via 10.244.2.0 to flannel.1
        0.022 ms device-tx  handed to the tunnel device flannel.1
        0.027 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
        0.029 ms device-tx  sent out of eth0 inside VXLAN
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
