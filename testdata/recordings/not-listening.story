tcp 10.244.1.10 → 10.244.2.20:8081 on node1, kernel 6.18.44, 16 of 16 points attached in 253 ms

#1 request tcp SYN 10.244.1.10:47803 → 10.244.2.20:8081 60 bytes
  netns nt6bea0a-client on node1
        0.000 ms route      routed via 10.244.1.1 to eth0
        0.118 ms device-tx  sent out of eth0 (veth)
  node node1
        0.125 ms device-rx  received at veth2828400f (veth)
        0.125 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.146 ms bridge     up from the bridge cni0 to its node
        0.159 ms route      routed via 10.244.2.0 to flannel.1
        0.180 ms device-tx  handed to the tunnel device flannel.1
        0.188 ms route      tunnel packet routed to eth0, directly connected
        0.484 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
        0.488 ms device-tx  sent out of eth0 inside VXLAN
  node node2
        0.496 ms device-rx  received at eth0 inside VXLAN
        0.505 ms route      tunnel packet routed: for this namespace
        0.521 ms tunnel     taken out of VXLAN VNI 1
        0.521 ms device-rx  comes out of the tunnel device flannel.1
        0.528 ms route      routed to cni0, directly connected
        0.545 ms neighbour  waits for the MAC address of 10.244.2.20 on cni0
        0.568 ms bridge     handed to the bridge cni0
        0.571 ms device-tx  sent out of veth025acccc (veth)
  netns nt6bea0a-web-b on node2
        0.575 ms device-rx  received at eth0 (veth)
        0.577 ms route      routed: for this namespace
        0.594 ms drop       rejected in tcp_v4_rcv at eth0, reason NO_SOCKET
  ✗ rejected

#2 reply tcp RST,ACK 10.244.2.20:8081 → 10.244.1.10:47803 40 bytes
  netns nt6bea0a-web-b on node2
        0.000 ms route      routed via 10.244.2.1 to eth0
        0.006 ms device-tx  sent out of eth0 (veth)
  node node2
        0.045 ms device-rx  received at veth025acccc (veth)
        0.045 ms bridge     taken by the bridge cni0 at its port veth025acccc
        0.050 ms bridge     up from the bridge cni0 to its node
        0.053 ms route      routed via 10.244.1.0 to flannel.1
        0.060 ms device-tx  handed to the tunnel device flannel.1
        0.065 ms route      tunnel packet routed to eth0, directly connected
        0.077 ms tunnel     put into VXLAN VNI 1, 192.168.50.2 to 192.168.50.1:8472
        0.080 ms device-tx  sent out of eth0 inside VXLAN
  node node1
        0.088 ms device-rx  received at eth0 inside VXLAN
        0.093 ms route      tunnel packet routed: for this namespace
        0.101 ms tunnel     taken out of VXLAN VNI 1
        0.101 ms device-rx  comes out of the tunnel device flannel.1
        0.103 ms route      routed to cni0, directly connected
        0.109 ms bridge     handed to the bridge cni0
        0.113 ms device-tx  sent out of veth2828400f (veth)
  netns nt6bea0a-client on node1
        0.115 ms device-rx  received at eth0 (veth)
        0.117 ms route      routed: for this namespace
        0.125 ms socket     delivered: the TCP socket took the reset
  ✓ delivered

REJECTED: nothing listens on tcp 10.244.2.20:8081 in nt6bea0a-web-b
layer: application & policy · cause: not-listening · confirmed · on node2
evidence:
  - kernel: tcp_v4_rcv dropped SYN 10.244.1.10:47803 → 10.244.2.20:8081 in nt6bea0a-web-b at eth0,
    reason NO_SOCKET
  - state: nt6bea0a-web-b listens on tcp ports 8080
  - client: the probe was refused after 1 ms
what to do:
  - in nt6bea0a-web-b: ss -ltn
probe: refused after 1 ms
