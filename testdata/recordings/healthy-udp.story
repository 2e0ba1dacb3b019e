udp 10.244.1.10 → 10.96.0.85:9000 on node1, kernel 6.18.44, 16 of 16 points attached in 421 ms

#2 reply udp 10.244.2.20:9000 → 10.244.1.10:54520 43 bytes
  netns nt6c2bb7-web-b on node2
        0.026 ms device-tx  sent out of eth0 (veth)
  node node2
        0.032 ms device-rx  received at veth025acccc (veth)
        0.032 ms bridge     taken by the bridge cni0 at its port veth025acccc
        0.040 ms bridge     up from the bridge cni0 to its node
        0.046 ms route      routed via 10.244.1.0 to flannel.1
        0.057 ms device-tx  handed to the tunnel device flannel.1
        0.063 ms route      tunnel packet routed to eth0, directly connected
        0.143 ms tunnel     put into VXLAN VNI 1, 192.168.50.2 to 192.168.50.1:8472
        0.153 ms device-tx  sent out of eth0 inside VXLAN
  node node1
        0.169 ms device-rx  received at eth0 inside VXLAN
        0.178 ms route      tunnel packet routed: for this namespace
        0.190 ms tunnel     taken out of VXLAN VNI 1
        0.190 ms device-rx  comes out of the tunnel device flannel.1
        0.194 ms route      routed to cni0, directly connected
        0.204 ms nat        DNAT undone: source 10.244.2.20:9000 becomes 10.96.0.85:9000 again
        0.206 ms bridge     handed to the bridge cni0
        0.212 ms device-tx  sent out of veth2828400f (veth)
  netns nt6c2bb7-client on node1
        0.216 ms device-rx  received at eth0 (veth)
        0.220 ms route      routed: for this namespace
       17.241 ms socket     delivered to the udp layer
  ✓ delivered

#1 request udp 10.244.1.10:54520 → 10.96.0.85:9000 43 bytes
  netns nt6c2bb7-client on node1
        0.000 ms route      routed via 10.244.1.1 to eth0
        0.260 ms device-tx  sent out of eth0 (veth)
  node node1
        0.267 ms device-rx  received at veth2828400f (veth)
        0.267 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.288 ms nat        DNAT: destination 10.96.0.85:9000 becomes 10.244.2.20:9000 for svc/shop/echo:udp
                            iptables-legacy nat/KUBE-SEP-U75XGNTWVYMNCGOJ rule 2: -p udp -m comment
                            --comment "shop/echo:udp" -m udp -j DNAT --to-destination
                            10.244.2.20:9000 (inferred)
        0.288 ms route      routed via 10.244.2.0 to flannel.1
        0.306 ms bridge     up from the bridge cni0 to its node
        0.663 ms device-tx  handed to the tunnel device flannel.1
        0.671 ms route      tunnel packet routed to eth0, directly connected
        0.843 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
        0.843 ms route      no route (ENETUNREACH, table main)
        0.881 ms device-tx  sent out of eth0 inside VXLAN
  node node2
        0.895 ms device-rx  received at eth0 inside VXLAN
        0.905 ms route      tunnel packet routed: for this namespace
        0.944 ms tunnel     taken out of VXLAN VNI 1
        0.944 ms device-rx  comes out of the tunnel device flannel.1
        0.950 ms route      routed to cni0, directly connected
        0.972 ms neighbour  waits for the MAC address of 10.244.2.20 on cni0
        1.001 ms bridge     handed to the bridge cni0
        1.006 ms device-tx  sent out of veth025acccc (veth)
  netns nt6c2bb7-web-b on node2
        1.012 ms device-rx  received at eth0 (veth)
        1.014 ms route      routed: for this namespace
       84.276 ms socket     delivered to the udp layer
  ✓ delivered

DELIVERED: 10.244.1.10 reaches 10.96.0.85:9000 and the answer comes back
confirmed
evidence:
  - 1 packets of the request and 1 of the reply were followed to their socket
  - 10.96.0.85:9000 was translated to 10.244.2.20:9000 on node1 for svc/shop/echo:udp
  - client: the probe was answered after 9 ms
probe: connected after 9 ms
