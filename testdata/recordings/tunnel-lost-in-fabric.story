tcp 10.244.1.10 → 10.244.2.20:8080 on node1, kernel 6.18.44, 16 of 16 points attached in 200 ms

#1 request tcp SYN 10.244.1.10:33857 → 10.244.2.20:8080 60 bytes
  netns nt497793-client on node1
        0.000 ms route      routed via 10.244.1.1 to eth0
        0.094 ms device-tx  sent out of eth0 (veth)
  node node1
        0.100 ms device-rx  received at veth2828400f (veth)
        0.100 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.125 ms bridge     up from the bridge cni0 to its node
        0.139 ms route      routed via 10.244.2.0 to flannel.1
        0.159 ms device-tx  handed to the tunnel device flannel.1
        0.166 ms route      tunnel packet routed to eth0, directly connected
        0.217 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
        0.221 ms device-tx  sent out of eth0 inside VXLAN
  → left the node

1 more like #1 (1 sent again)

LOST: VXLAN packets leave node1 for 192.168.50.2:8472 and do not arrive
layer: underlay · cause: tunnel-lost-in-fabric · likely · on node1
evidence:
  - kernel: 2 packets left node1 at eth0 inside udp 192.168.50.1 → 192.168.50.2:8472; no drop was
    reported
  - node2, which has 192.168.50.2, is watched and saw none of them
  - client: the probe timed out after 2000 ms
what to do:
  - allow udp/8472 between the nodes in security groups, network ACLs and firewalls between them
  - on both nodes: tcpdump -ni eth0 udp port 8472
probe: timeout after 2000 ms
