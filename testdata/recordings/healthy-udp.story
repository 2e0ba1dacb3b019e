udp 10.244.1.10 → 10.96.0.85:9000 on node1, kernel 6.18.44, 16 of 16 points attached in 235 ms

#1 request udp 10.244.1.10:46028 → 10.96.0.85:9000 43 bytes
  netns ntff6c71-client on node1
        0.000 ms route      routed via 10.244.1.1 to eth0
        0.157 ms device-tx  sent out of eth0 (veth)
  node node1
        0.164 ms device-rx  received at veth2828400f (veth)
        0.164 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.185 ms nat        DNAT: destination 10.96.0.85:9000 becomes 10.244.2.20:9000 for svc/shop/echo:udp
                            iptables-legacy nat/KUBE-SEP-U75XGNTWVYMNCGOJ rule 2: -p udp -m comment
                            --comment "shop/echo:udp" -m udp -j DNAT --to-destination
                            10.244.2.20:9000 (inferred)
        0.185 ms route      routed via 10.244.2.0 to flannel.1
        0.198 ms bridge     up from the bridge cni0 to its node
        0.223 ms device-tx  handed to the tunnel device flannel.1
        0.232 ms route      tunnel packet routed to eth0, directly connected
        0.458 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
        0.462 ms device-tx  sent out of eth0 inside VXLAN
  node node2
        0.471 ms device-rx  received at eth0 inside VXLAN
        0.481 ms route      tunnel packet routed: for this namespace
        0.497 ms tunnel     taken out of VXLAN VNI 1
        0.497 ms device-rx  comes out of the tunnel device flannel.1
        0.503 ms route      routed to cni0, directly connected
        0.518 ms neighbour  waits for the MAC address of 10.244.2.20 on cni0
        0.541 ms bridge     handed to the bridge cni0
        0.545 ms device-tx  sent out of veth025acccc (veth)
  netns ntff6c71-web-b on node2
        0.549 ms device-rx  received at eth0 (veth)
        0.551 ms route      routed: for this namespace
       10.458 ms socket     delivered to the udp layer
  ✓ delivered

#2 reply udp 10.244.2.20:9000 → 10.244.1.10:46028 43 bytes
  netns ntff6c71-web-b on node2
        0.000 ms device-tx  sent out of eth0 (veth)
  node node2
        0.021 ms device-rx  received at veth025acccc (veth)
        0.021 ms bridge     taken by the bridge cni0 at its port veth025acccc
        0.026 ms bridge     up from the bridge cni0 to its node
        0.030 ms route      routed via 10.244.1.0 to flannel.1
        0.058 ms device-tx  handed to the tunnel device flannel.1
        0.106 ms route      tunnel packet routed to eth0, directly connected
        0.145 ms tunnel     put into VXLAN VNI 1, 192.168.50.2 to 192.168.50.1:8472
        0.186 ms device-tx  sent out of eth0 inside VXLAN
  node node1
        0.246 ms device-rx  received at eth0 inside VXLAN
        0.254 ms route      tunnel packet routed: for this namespace
        0.265 ms tunnel     taken out of VXLAN VNI 1
        0.265 ms device-rx  comes out of the tunnel device flannel.1
        0.286 ms route      routed to cni0, directly connected
        0.296 ms nat        DNAT undone: source 10.244.2.20:9000 becomes 10.96.0.85:9000 again
        0.298 ms bridge     handed to the bridge cni0
        0.302 ms device-tx  sent out of veth2828400f (veth)
  netns ntff6c71-client on node1
        0.305 ms device-rx  received at eth0 (veth)
        0.307 ms route      routed: for this namespace
        0.307 ms socket     delivered to the udp layer
  ✓ delivered

DELIVERED: 10.244.1.10 reaches 10.96.0.85:9000 and the answer comes back
confirmed
evidence:
  - 1 packets of the request and 1 of the reply were followed to their socket
  - 10.96.0.85:9000 was translated to 10.244.2.20:9000 on node1 for svc/shop/echo:udp
  - client: the probe was answered after 1 ms
probe: connected after 1 ms
