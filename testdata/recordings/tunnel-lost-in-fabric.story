tcp 10.244.1.10 → 10.244.2.20:8080 on node1, kernel 6.18.44, 16 of 16 points attached in 887 ms

#1 request tcp SYN 10.244.1.10:54465 → 10.244.2.20:8080 60 bytes
  netns nt564dcc-client on node1
        0.000 ms route      routed via 10.244.1.1 to eth0
        0.160 ms device-tx  sent out of eth0 (veth)
  node node1
        0.166 ms device-rx  received at veth2828400f (veth)
        0.166 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.199 ms bridge     up from the bridge cni0 to its node
        0.213 ms route      routed via 10.244.2.0 to flannel.1
        0.268 ms device-tx  handed to the tunnel device flannel.1
        0.277 ms route      tunnel packet routed to eth0, directly connected
        0.356 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
        0.356 ms route      no route (ENETUNREACH, table main)
        0.398 ms device-tx  sent out of eth0 inside VXLAN
  → left the node

#2 request tcp SYN 10.244.1.10:54465 → 10.244.2.20:8080 60 bytes, attempt 2
  netns nt564dcc-client on node1
        0.027 ms device-tx  sent out of eth0 (veth)
  node node1
        0.074 ms device-rx  received at veth2828400f (veth)
        0.074 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.094 ms bridge     up from the bridge cni0 to its node
        0.111 ms route      routed via 10.244.2.0 to flannel.1
        0.133 ms device-tx  handed to the tunnel device flannel.1
        0.167 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
        0.173 ms device-tx  sent out of eth0 inside VXLAN
  → left the node

LOST: VXLAN packets leave node1 for 192.168.50.2:8472 and do not arrive
layer: underlay · cause: tunnel-lost-in-fabric · likely · on node1
evidence:
  - kernel: 2 packets left node1 at eth0 inside udp 192.168.50.1 → 192.168.50.2:8472; no drop was
    reported
  - node2, which has 192.168.50.2, is watched and saw none of them
  - client: the probe timed out after 1996 ms
what to do:
  - allow udp/8472 between the nodes in security groups, network ACLs and firewalls between them
  - on both nodes: tcpdump -ni eth0 udp port 8472
probe: timeout after 1996 ms
