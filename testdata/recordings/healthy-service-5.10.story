tcp 10.244.1.10 → 10.96.0.81:80 on node1, kernel 5.10.0-46-cloud-amd64, 55 of 70 points attached in 16045 ms

#1 request tcp SYN 10.244.1.10:34969 → 10.96.0.81:80 60 bytes
  netns nt4ff279-client on node1
        0.000 ms route      routed via 10.244.1.1 to eth0
       67.821 ms netfilter  netfilter ip POSTROUTING: accept
       95.255 ms device-tx  sent out of eth0 (veth)
  node node1
       97.824 ms device-rx  received at veth2828400f (veth)
       97.824 ms bridge     taken by the bridge cni0 at its port veth2828400f
       98.583 ms netfilter  netfilter ip PREROUTING (mangle, nat): accept
       98.715 ms conntrack  conntrack: NEW
      106.915 ms nat        DNAT: destination 10.96.0.81:80 becomes 10.244.2.20:8080 for svc/shop/web-node:http
                            iptables-legacy nat/KUBE-SEP-7DVQY232RSQI7TWF rule 2: -p tcp -m comment
                            --comment "shop/web-node:http" -m tcp -j DNAT --to-destination
                            10.244.2.20:8080 (inferred)
      107.542 ms route      routed via 10.244.2.0 to flannel.1
      108.700 ms bridge     up from the bridge cni0 to its node
      134.971 ms netfilter  netfilter ip FORWARD (mangle, filter): accept
      135.266 ms netfilter  netfilter ip POSTROUTING (mangle, nat): accept
      136.161 ms conntrack  conntrack: the connection is entered into the table
      136.568 ms device-tx  handed to the tunnel device flannel.1
      153.983 ms route      tunnel packet routed to eth0, directly connected
      174.454 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
      174.540 ms netfilter  tunnel packet, netfilter ip OUTPUT (mangle, nat, filter): accept
      174.571 ms conntrack  tunnel packet, conntrack: NEW
      175.237 ms netfilter  tunnel packet, netfilter ip POSTROUTING (mangle, nat): accept
      175.277 ms conntrack  tunnel packet, conntrack: the connection is entered into the table
      176.222 ms device-tx  sent out of eth0 inside VXLAN
  node node2
      185.469 ms device-rx  received at eth0 inside VXLAN
      185.483 ms netfilter  tunnel packet, netfilter ip PREROUTING (mangle, nat): accept
      185.491 ms conntrack  tunnel packet, conntrack: NEW
      185.840 ms route      tunnel packet routed: for this namespace
      186.022 ms netfilter  tunnel packet, netfilter ip INPUT (mangle, filter, nat): accept
      195.175 ms conntrack  tunnel packet, conntrack: the connection is entered into the table
      197.954 ms tunnel     taken out of VXLAN VNI 1
      197.954 ms device-rx  comes out of the tunnel device flannel.1
      198.368 ms netfilter  netfilter ip PREROUTING (mangle, nat): accept
      198.389 ms conntrack  conntrack: NEW
      198.768 ms route      routed to cni0, directly connected
      198.939 ms netfilter  netfilter ip FORWARD (mangle, filter): accept
      198.971 ms netfilter  netfilter ip POSTROUTING (mangle, nat): accept
      199.001 ms conntrack  conntrack: the connection is entered into the table
      199.267 ms neighbour  waits for the MAC address of 10.244.2.20 on cni0
      200.072 ms bridge     handed to the bridge cni0
      200.098 ms bridge     the bridge forwards it to its port veth025acccc
      200.128 ms device-tx  sent out of veth025acccc (veth)
  netns nt4ff279-web-b on node2
      200.283 ms device-rx  received at eth0 (veth)
      200.297 ms route      routed: for this namespace
      205.078 ms socket     delivered to the tcp layer
  ✓ delivered

#2 reply tcp SYN,ACK 10.244.2.20:8080 → 10.244.1.10:34969 60 bytes
  netns nt4ff279-web-b on node2
        0.000 ms route      routed via 10.244.2.1 to eth0
        3.014 ms netfilter  netfilter ip POSTROUTING: accept
        3.104 ms device-tx  sent out of eth0 (veth)
  node node2
        3.499 ms device-rx  received at veth025acccc (veth)
        3.499 ms bridge     taken by the bridge cni0 at its port veth025acccc
        3.542 ms netfilter  netfilter ip PREROUTING (mangle): accept
        3.552 ms conntrack  conntrack: ESTABLISHED
        3.999 ms bridge     up from the bridge cni0 to its node
        4.063 ms route      routed via 10.244.1.0 to flannel.1
        4.123 ms netfilter  netfilter ip FORWARD (mangle, filter): accept
        4.148 ms netfilter  netfilter ip POSTROUTING (mangle): accept
        4.171 ms qdisc      waits in the queue of flannel.1
        7.088 ms device-tx  handed to the tunnel device flannel.1
        7.191 ms route      tunnel packet routed to eth0, directly connected
        7.311 ms tunnel     put into VXLAN VNI 1, 192.168.50.2 to 192.168.50.1:8472
        7.320 ms netfilter  tunnel packet, netfilter ip OUTPUT (mangle, nat, filter): accept
        7.332 ms conntrack  tunnel packet, conntrack: NEW
        7.436 ms netfilter  tunnel packet, netfilter ip POSTROUTING (mangle, nat): accept
        7.467 ms conntrack  tunnel packet, conntrack: the connection is entered into the table
        7.520 ms device-tx  sent out of eth0 inside VXLAN
  node node1
        7.647 ms device-rx  received at eth0 inside VXLAN
        7.655 ms netfilter  tunnel packet, netfilter ip PREROUTING (mangle, nat): accept
        7.660 ms conntrack  tunnel packet, conntrack: NEW
        7.718 ms route      tunnel packet routed: for this namespace
        7.758 ms netfilter  tunnel packet, netfilter ip INPUT (mangle, filter, nat): accept
        7.792 ms conntrack  tunnel packet, conntrack: the connection is entered into the table
       44.685 ms tunnel     taken out of VXLAN VNI 1
       44.685 ms device-rx  comes out of the tunnel device flannel.1
       44.738 ms netfilter  netfilter ip PREROUTING (mangle): accept
       44.775 ms conntrack  conntrack: ESTABLISHED
       44.912 ms route      routed to cni0, directly connected
       45.007 ms netfilter  netfilter ip FORWARD (mangle, filter): accept
       45.040 ms netfilter  netfilter ip POSTROUTING (mangle): accept
       45.058 ms nat        DNAT undone: source 10.244.2.20:8080 becomes 10.96.0.81:80 again
       45.527 ms bridge     handed to the bridge cni0
       45.574 ms bridge     the bridge forwards it to its port veth2828400f
       45.614 ms device-tx  sent out of veth2828400f (veth)
  netns nt4ff279-client on node1
       45.742 ms device-rx  received at eth0 (veth)
       45.859 ms route      routed: for this namespace
       47.178 ms socket     delivered: the TCP connection is established
  ✓ delivered

#3 request tcp ACK 10.244.1.10:34969 → 10.96.0.81:80 52 bytes
  netns nt4ff279-client on node1
        0.023 ms netfilter  netfilter ip POSTROUTING: accept
        0.104 ms device-tx  sent out of eth0 (veth)
  node node1
        1.069 ms device-rx  received at veth2828400f (veth)
        1.069 ms bridge     taken by the bridge cni0 at its port veth2828400f
        1.627 ms netfilter  netfilter ip PREROUTING (mangle): accept
        1.891 ms conntrack  conntrack: ESTABLISHED
        8.115 ms nat        DNAT: destination 10.96.0.81:80 becomes 10.244.2.20:8080 for svc/shop/web-node:http
                            iptables-legacy nat/KUBE-SEP-7DVQY232RSQI7TWF rule 2: -p tcp -m comment
                            --comment "shop/web-node:http" -m tcp -j DNAT --to-destination
                            10.244.2.20:8080 (inferred)
        8.164 ms route      routed via 10.244.2.0 to flannel.1
        8.330 ms bridge     up from the bridge cni0 to its node
        8.383 ms netfilter  netfilter ip FORWARD (mangle, filter): accept
        8.413 ms netfilter  netfilter ip POSTROUTING (mangle): accept
        8.463 ms device-tx  handed to the tunnel device flannel.1
        8.624 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
        8.631 ms netfilter  tunnel packet, netfilter ip OUTPUT (mangle, filter): accept
        8.639 ms conntrack  tunnel packet, conntrack: NEW
        8.696 ms netfilter  tunnel packet, netfilter ip POSTROUTING (mangle): accept
        8.724 ms device-tx  sent out of eth0 inside VXLAN
  node node2
        8.830 ms device-rx  received at eth0 inside VXLAN
        8.834 ms netfilter  tunnel packet, netfilter ip PREROUTING (mangle): accept
        8.838 ms conntrack  tunnel packet, conntrack: NEW
        8.874 ms route      tunnel packet routed: for this namespace
        8.904 ms netfilter  tunnel packet, netfilter ip INPUT (mangle, filter): accept
        9.031 ms tunnel     taken out of VXLAN VNI 1
        9.031 ms device-rx  comes out of the tunnel device flannel.1
        9.041 ms netfilter  netfilter ip PREROUTING (mangle): accept
        9.045 ms conntrack  conntrack: ESTABLISHED
        9.078 ms route      routed to cni0, directly connected
        9.100 ms netfilter  netfilter ip FORWARD (mangle, filter): accept
        9.119 ms netfilter  netfilter ip POSTROUTING (mangle): accept
        9.165 ms bridge     handed to the bridge cni0
        9.178 ms bridge     the bridge forwards it to its port veth025acccc
        9.197 ms device-tx  sent out of veth025acccc (veth)
  netns nt4ff279-web-b on node2
        9.215 ms device-rx  received at eth0 (veth)
        9.228 ms route      routed: for this namespace
       17.257 ms socket     delivered: the TCP connection is established
  ✓ delivered

1 more like #3

#5 reply tcp FIN,ACK 10.244.2.20:8080 → 10.244.1.10:34969 52 bytes
  netns nt4ff279-web-b on node2
        0.000 ms route      routed via 10.244.2.1 to eth0
      229.387 ms netfilter  netfilter ip POSTROUTING: accept
      229.460 ms device-tx  sent out of eth0 (veth)
  node node2
      229.506 ms device-rx  received at veth025acccc (veth)
      229.506 ms bridge     taken by the bridge cni0 at its port veth025acccc
      229.538 ms netfilter  netfilter ip PREROUTING (mangle): accept
      229.552 ms conntrack  conntrack: ESTABLISHED
      234.863 ms bridge     up from the bridge cni0 to its node
      234.964 ms route      routed via 10.244.1.0 to flannel.1
      235.052 ms netfilter  netfilter ip FORWARD (mangle, filter): accept
      235.094 ms netfilter  netfilter ip POSTROUTING (mangle): accept
      235.180 ms device-tx  handed to the tunnel device flannel.1
      235.246 ms route      tunnel packet routed to eth0, directly connected
      235.340 ms tunnel     put into VXLAN VNI 1, 192.168.50.2 to 192.168.50.1:8472
      235.347 ms netfilter  tunnel packet, netfilter ip OUTPUT (mangle, filter): accept
      235.353 ms conntrack  tunnel packet, conntrack: NEW
      235.410 ms netfilter  tunnel packet, netfilter ip POSTROUTING (mangle): accept
      235.458 ms device-tx  sent out of eth0 inside VXLAN
  node node1
      235.616 ms device-rx  received at eth0 inside VXLAN
      235.623 ms netfilter  tunnel packet, netfilter ip PREROUTING (mangle): accept
      235.631 ms conntrack  tunnel packet, conntrack: NEW
      235.679 ms route      tunnel packet routed: for this namespace
      235.714 ms netfilter  tunnel packet, netfilter ip INPUT (mangle, filter): accept
      240.160 ms tunnel     taken out of VXLAN VNI 1
      240.160 ms device-rx  comes out of the tunnel device flannel.1
      240.204 ms netfilter  netfilter ip PREROUTING (mangle): accept
      240.228 ms conntrack  conntrack: ESTABLISHED
      240.322 ms route      routed to cni0, directly connected
      240.383 ms netfilter  netfilter ip FORWARD (mangle, filter): accept
      240.410 ms netfilter  netfilter ip POSTROUTING (mangle): accept
      240.429 ms nat        DNAT undone: source 10.244.2.20:8080 becomes 10.96.0.81:80 again
      240.499 ms bridge     handed to the bridge cni0
      240.531 ms bridge     the bridge forwards it to its port veth2828400f
      240.562 ms device-tx  sent out of veth2828400f (veth)
  netns nt4ff279-client on node1
      241.129 ms device-rx  received at eth0 (veth)
      245.431 ms socket     delivered to the tcp layer
  ✓ delivered

1 more like #3

DELIVERED: 10.244.1.10 reaches 10.96.0.81:80 and the answer comes back
confirmed
evidence:
  - 4 packets of the request and 2 of the reply were followed to their socket
  - 10.96.0.81:80 was translated to 10.244.2.20:8080 on node1 for svc/shop/web-node:http
  - client: the probe was answered after 516 ms
probe: connected after 516 ms
