tcp 10.244.1.10 → 10.244.2.20:8081 on node1, kernel 6.18.44, 16 of 16 points attached in 455 ms

#1 request tcp SYN 10.244.1.10:41273 → 10.244.2.20:8081 60 bytes
  netns nta89e4c-client on node1
        0.000 ms route      routed via 10.244.1.1 to eth0
        0.137 ms device-tx  sent out of eth0 (veth)
  node node1
        0.144 ms device-rx  received at veth2828400f (veth)
        0.144 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.166 ms bridge     up from the bridge cni0 to its node
        0.178 ms route      routed via 10.244.2.0 to flannel.1
        0.308 ms device-tx  handed to the tunnel device flannel.1
        0.315 ms route      tunnel packet routed to eth0, directly connected
        0.366 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
        0.366 ms route      no route (ENETUNREACH, table main)
        0.394 ms device-tx  sent out of eth0 inside VXLAN
  node node2
        0.405 ms device-rx  received at eth0 inside VXLAN
        0.412 ms route      tunnel packet routed: for this namespace
        0.438 ms tunnel     taken out of VXLAN VNI 1
        0.438 ms device-rx  comes out of the tunnel device flannel.1
        0.444 ms route      routed to cni0, directly connected
        0.460 ms neighbour  waits for the MAC address of 10.244.2.20 on cni0
        0.482 ms bridge     handed to the bridge cni0
        0.486 ms device-tx  sent out of veth025acccc (veth)
  netns nta89e4c-web-b on node2
        0.490 ms device-rx  received at eth0 (veth)
        0.491 ms route      routed: for this namespace
        0.513 ms drop       rejected in tcp_v4_rcv at eth0, reason NO_SOCKET
  ✗ rejected

#2 reply tcp RST,ACK 10.244.2.20:8081 → 10.244.1.10:41273 40 bytes
  netns nta89e4c-web-b on node2
        0.000 ms route      routed via 10.244.2.1 to eth0
        0.007 ms device-tx  sent out of eth0 (veth)
  node node2
        0.044 ms device-rx  received at veth025acccc (veth)
        0.044 ms bridge     taken by the bridge cni0 at its port veth025acccc
        0.048 ms bridge     up from the bridge cni0 to its node
        0.050 ms route      routed via 10.244.1.0 to flannel.1
        0.056 ms device-tx  handed to the tunnel device flannel.1
        0.060 ms route      tunnel packet routed to eth0, directly connected
        0.204 ms tunnel     put into VXLAN VNI 1, 192.168.50.2 to 192.168.50.1:8472
        0.208 ms device-tx  sent out of eth0 inside VXLAN
  node node1
        0.218 ms device-rx  received at eth0 inside VXLAN
        0.223 ms route      tunnel packet routed: for this namespace
        0.244 ms tunnel     taken out of VXLAN VNI 1
        0.244 ms device-rx  comes out of the tunnel device flannel.1
        0.247 ms route      routed to cni0, directly connected
        0.254 ms bridge     handed to the bridge cni0
        0.258 ms device-tx  sent out of veth2828400f (veth)
  netns nta89e4c-client on node1
        0.261 ms device-rx  received at eth0 (veth)
        0.263 ms route      routed: for this namespace
        0.271 ms socket     delivered: the TCP socket took the reset
  ✓ delivered

REJECTED: nothing listens on tcp 10.244.2.20:8081 in nta89e4c-web-b
layer: application & policy · cause: not-listening · confirmed · on node2
evidence:
  - kernel: tcp_v4_rcv dropped SYN 10.244.1.10:41273 → 10.244.2.20:8081 in nta89e4c-web-b at eth0,
    reason NO_SOCKET
  - state: nta89e4c-web-b listens on tcp ports 8080
  - client: the probe was refused after 1 ms
what to do:
  - in nta89e4c-web-b: ss -ltn
probe: refused after 1 ms
