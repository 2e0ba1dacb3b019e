tcp shop/client (10.244.1.10) → shop/web-7d9c5b8f4-abcde:8080 (10.244.2.20:8080) on node1 and node2, kernel 6.18.44, 15 of 91 points attached in 682 ms
blind: 55 kernel functions (__ip_local_out, nf_hook_slow, ...): this kernel has neither kprobes nor fentry

#1 request tcp SYN shop/client:42745 → shop/web-7d9c5b8f4-abcde:8080 60 bytes
  pod shop/client on node1
        0.000 ms route      routed via node/node1 to eth0
        0.144 ms device-tx  sent out of eth0 (veth)
  node node1
        0.155 ms device-rx  received at veth2828400f (veth) of shop/client
        0.155 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.187 ms bridge     up from the bridge cni0 to its node
        0.204 ms route      routed via node/node2 to flannel.1
        0.225 ms device-tx  handed to the tunnel device flannel.1
        0.235 ms route      tunnel packet routed to eth0, directly connected
        0.458 ms tunnel     put into VXLAN VNI 1, node/node1 to node/node2:8472
        0.458 ms device-tx  sent out of eth0 inside VXLAN
  → left the node, not seen on node2

3 more like #1 (3 sent again)

LOST: the request is lost between node1 and node2: node1 sent it inside VXLAN to 192.168.50.2:8472, and node2 never received it
layer: underlay · cause: tunnel-lost-in-fabric · confirmed · on node1
evidence:
  - node1: sent SYN 10.244.1.10:42745 → 10.244.2.20:8080 out of eth0 inside VXLAN 192.168.50.1:45286
    → 192.168.50.2:8472 at 22:43:09.206, and 3 more packets
  - node2: watching since 22:43:08.739 until 22:43:14.831, never received any of these 4, and lost
    no events
  - node2 may have missed 1 of them: it may have begun to watch later, at 22:43:08.739; the other 3
    it cannot have missed
  - node1: kernel: 4 packets left node1 at eth0 inside udp 192.168.50.1 → 192.168.50.2:8472; no drop
    was reported
  - node1: client: the probe timed out after 4002 ms
  - clocks: no packet crossed that could compare node2's with node1's; they are taken to agree
    within 1.0 s
what to do:
  - allow udp/8472 between the nodes in security groups, network ACLs and firewalls between them
  - on both nodes: tcpdump -ni eth0 udp port 8472
probe: timeout after 4002 ms
