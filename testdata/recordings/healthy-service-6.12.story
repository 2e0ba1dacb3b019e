tcp 10.244.1.10 → 10.96.0.81:80 on node1, kernel 6.12.117+deb12-cloud-amd64, 55 of 70 points attached in 5149 ms

#1 request tcp SYN 10.244.1.10:33473 → 10.96.0.81:80 60 bytes
  netns nt6e11e2-client on node1
        0.000 ms route      routed via 10.244.1.1 to eth0
       89.971 ms netfilter  netfilter ip POSTROUTING: accept
       97.899 ms device-tx  sent out of eth0 (veth)
  node node1
      101.770 ms device-rx  received at veth2828400f (veth)
      101.770 ms bridge     taken by the bridge cni0 at its port veth2828400f
      102.409 ms netfilter  netfilter ip PREROUTING (mangle, nat): accept
      102.552 ms conntrack  conntrack: NEW
      110.734 ms nat        DNAT: destination 10.96.0.81:80 becomes 10.244.2.20:8080 for svc/shop/web-node:http
                            iptables-legacy nat/KUBE-SEP-7DVQY232RSQI7TWF rule 2: -p tcp -m comment
                            --comment "shop/web-node:http" -m tcp -j DNAT --to-destination
                            10.244.2.20:8080 (inferred)
      111.337 ms route      routed via 10.244.2.0 to flannel.1
      112.564 ms bridge     up from the bridge cni0 to its node
      117.945 ms netfilter  netfilter ip FORWARD (mangle, filter): accept
      118.323 ms netfilter  netfilter ip POSTROUTING (mangle, nat): accept
      118.913 ms conntrack  conntrack: the connection is entered into the table
      119.290 ms device-tx  handed to the tunnel device flannel.1
      120.384 ms route      tunnel packet routed to eth0, directly connected
      125.992 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
      126.085 ms netfilter  tunnel packet, netfilter ip OUTPUT (mangle, nat, filter): accept
      126.113 ms conntrack  tunnel packet, conntrack: NEW
      126.871 ms netfilter  tunnel packet, netfilter ip POSTROUTING (mangle, nat): accept
      126.912 ms conntrack  tunnel packet, conntrack: the connection is entered into the table
      128.258 ms device-tx  sent out of eth0 inside VXLAN
  node node2
      133.417 ms device-rx  received at eth0 inside VXLAN
      133.441 ms netfilter  tunnel packet, netfilter ip PREROUTING (mangle, nat): accept
      133.453 ms conntrack  tunnel packet, conntrack: NEW
      133.947 ms route      tunnel packet routed: for this namespace
      134.175 ms netfilter  tunnel packet, netfilter ip INPUT (mangle, filter, nat): accept
      134.267 ms conntrack  tunnel packet, conntrack: the connection is entered into the table
      157.151 ms tunnel     taken out of VXLAN VNI 1
      157.151 ms device-rx  comes out of the tunnel device flannel.1
      157.568 ms netfilter  netfilter ip PREROUTING (mangle, nat): accept
      157.599 ms conntrack  conntrack: NEW
      158.001 ms route      routed to cni0, directly connected
      158.276 ms netfilter  netfilter ip FORWARD (mangle, filter): accept
      158.360 ms netfilter  netfilter ip POSTROUTING (mangle, nat): accept
      158.422 ms conntrack  conntrack: the connection is entered into the table
      158.783 ms neighbour  waits for the MAC address of 10.244.2.20 on cni0
      165.977 ms bridge     handed to the bridge cni0
      166.014 ms bridge     the bridge forwards it to its port veth025acccc
      166.069 ms device-tx  sent out of veth025acccc (veth)
  netns nt6e11e2-web-b on node2
      166.390 ms device-rx  received at eth0 (veth)
      166.429 ms route      routed: for this namespace
      169.938 ms socket     delivered to the tcp layer
  ✓ delivered

#2 reply tcp SYN,ACK 10.244.2.20:8080 → 10.244.1.10:33473 60 bytes
  netns nt6e11e2-web-b on node2
        0.000 ms route      routed via 10.244.2.1 to eth0
        1.280 ms netfilter  netfilter ip POSTROUTING: accept
        1.488 ms device-tx  sent out of eth0 (veth)
  node node2
        5.192 ms device-rx  received at veth025acccc (veth)
        5.192 ms bridge     taken by the bridge cni0 at its port veth025acccc
        5.330 ms netfilter  netfilter ip PREROUTING (mangle): accept
        5.368 ms conntrack  conntrack: ESTABLISHED
        6.354 ms bridge     up from the bridge cni0 to its node
        6.442 ms route      routed via 10.244.1.0 to flannel.1
        6.521 ms netfilter  netfilter ip FORWARD (mangle, filter): accept
        6.556 ms netfilter  netfilter ip POSTROUTING (mangle): accept
        6.618 ms device-tx  handed to the tunnel device flannel.1
        6.686 ms route      tunnel packet routed to eth0, directly connected
        6.778 ms tunnel     put into VXLAN VNI 1, 192.168.50.2 to 192.168.50.1:8472
        6.787 ms netfilter  tunnel packet, netfilter ip OUTPUT (mangle, nat, filter): accept
        6.795 ms conntrack  tunnel packet, conntrack: NEW
        6.887 ms netfilter  tunnel packet, netfilter ip POSTROUTING (mangle, nat): accept
        6.971 ms conntrack  tunnel packet, conntrack: the connection is entered into the table
        7.109 ms device-tx  sent out of eth0 inside VXLAN
  node node1
        7.451 ms device-rx  received at eth0 inside VXLAN
        7.467 ms netfilter  tunnel packet, netfilter ip PREROUTING (mangle, nat): accept
        7.481 ms conntrack  tunnel packet, conntrack: NEW
        7.592 ms route      tunnel packet routed: for this namespace
        7.641 ms netfilter  tunnel packet, netfilter ip INPUT (mangle, filter, nat): accept
        7.696 ms conntrack  tunnel packet, conntrack: the connection is entered into the table
       12.933 ms tunnel     taken out of VXLAN VNI 1
       12.933 ms device-rx  comes out of the tunnel device flannel.1
       12.977 ms netfilter  netfilter ip PREROUTING (mangle): accept
       13.008 ms conntrack  conntrack: ESTABLISHED
       13.187 ms route      routed to cni0, directly connected
       13.281 ms netfilter  netfilter ip FORWARD (mangle, filter): accept
       13.323 ms netfilter  netfilter ip POSTROUTING (mangle): accept
       13.344 ms nat        DNAT undone: source 10.244.2.20:8080 becomes 10.96.0.81:80 again
       14.154 ms bridge     handed to the bridge cni0
       14.200 ms bridge     the bridge forwards it to its port veth2828400f
       14.247 ms device-tx  sent out of veth2828400f (veth)
  netns nt6e11e2-client on node1
       14.299 ms device-rx  received at eth0 (veth)
       14.419 ms route      routed: for this namespace
       15.801 ms socket     delivered: the TCP connection is established
  ✓ delivered

#3 request tcp ACK 10.244.1.10:33473 → 10.96.0.81:80 52 bytes
  netns nt6e11e2-client on node1
        0.022 ms netfilter  netfilter ip POSTROUTING: accept
        0.112 ms device-tx  sent out of eth0 (veth)
  node node1
        0.355 ms device-rx  received at veth2828400f (veth)
        0.355 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.413 ms netfilter  netfilter ip PREROUTING (mangle): accept
        0.425 ms conntrack  conntrack: ESTABLISHED
        0.602 ms nat        DNAT: destination 10.96.0.81:80 becomes 10.244.2.20:8080 for svc/shop/web-node:http
                            iptables-legacy nat/KUBE-SEP-7DVQY232RSQI7TWF rule 2: -p tcp -m comment
                            --comment "shop/web-node:http" -m tcp -j DNAT --to-destination
                            10.244.2.20:8080 (inferred)
        0.757 ms route      routed via 10.244.2.0 to flannel.1
        0.911 ms bridge     up from the bridge cni0 to its node
        0.959 ms netfilter  netfilter ip FORWARD (mangle, filter): accept
        0.994 ms netfilter  netfilter ip POSTROUTING (mangle): accept
        1.030 ms device-tx  handed to the tunnel device flannel.1
        1.183 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
        1.189 ms netfilter  tunnel packet, netfilter ip OUTPUT (mangle, filter): accept
        1.195 ms conntrack  tunnel packet, conntrack: NEW
        1.252 ms netfilter  tunnel packet, netfilter ip POSTROUTING (mangle): accept
        1.286 ms device-tx  sent out of eth0 inside VXLAN
  node node2
        1.403 ms device-rx  received at eth0 inside VXLAN
        1.407 ms netfilter  tunnel packet, netfilter ip PREROUTING (mangle): accept
        1.412 ms conntrack  tunnel packet, conntrack: NEW
        1.455 ms route      tunnel packet routed: for this namespace
        1.486 ms netfilter  tunnel packet, netfilter ip INPUT (mangle, filter): accept
        7.926 ms tunnel     taken out of VXLAN VNI 1
        7.926 ms device-rx  comes out of the tunnel device flannel.1
        7.975 ms netfilter  netfilter ip PREROUTING (mangle): accept
        8.011 ms conntrack  conntrack: ESTABLISHED
        8.196 ms route      routed to cni0, directly connected
        8.272 ms netfilter  netfilter ip FORWARD (mangle, filter): accept
        8.313 ms netfilter  netfilter ip POSTROUTING (mangle): accept
        8.490 ms bridge     handed to the bridge cni0
        8.553 ms bridge     the bridge forwards it to its port veth025acccc
        8.599 ms device-tx  sent out of veth025acccc (veth)
  netns nt6e11e2-web-b on node2
        8.700 ms device-rx  received at eth0 (veth)
        8.740 ms route      routed: for this namespace
       13.994 ms socket     delivered: the TCP connection is established
  ✓ delivered

2 more like #3

#5 reply tcp FIN,ACK 10.244.2.20:8080 → 10.244.1.10:33473 52 bytes
  netns nt6e11e2-web-b on node2
        0.000 ms route      routed via 10.244.2.1 to eth0
       43.792 ms netfilter  netfilter ip POSTROUTING: accept
       44.092 ms device-tx  sent out of eth0 (veth)
  node node2
       44.141 ms device-rx  received at veth025acccc (veth)
       44.141 ms bridge     taken by the bridge cni0 at its port veth025acccc
       44.177 ms netfilter  netfilter ip PREROUTING (mangle): accept
       44.191 ms conntrack  conntrack: ESTABLISHED
       44.334 ms bridge     up from the bridge cni0 to its node
       44.408 ms route      routed via 10.244.1.0 to flannel.1
       44.480 ms netfilter  netfilter ip FORWARD (mangle, filter): accept
       44.516 ms netfilter  netfilter ip POSTROUTING (mangle): accept
       44.548 ms device-tx  handed to the tunnel device flannel.1
       44.644 ms tunnel     put into VXLAN VNI 1, 192.168.50.2 to 192.168.50.1:8472
       44.650 ms netfilter  tunnel packet, netfilter ip OUTPUT (mangle, filter): accept
       44.656 ms conntrack  tunnel packet, conntrack: NEW
       44.766 ms netfilter  tunnel packet, netfilter ip POSTROUTING (mangle): accept
       44.804 ms device-tx  sent out of eth0 inside VXLAN
  node node1
       44.923 ms device-rx  received at eth0 inside VXLAN
       44.928 ms netfilter  tunnel packet, netfilter ip PREROUTING (mangle): accept
       44.935 ms conntrack  tunnel packet, conntrack: NEW
       44.978 ms route      tunnel packet routed: for this namespace
       45.010 ms netfilter  tunnel packet, netfilter ip INPUT (mangle, filter): accept
       45.115 ms tunnel     taken out of VXLAN VNI 1
       45.115 ms device-rx  comes out of the tunnel device flannel.1
       45.124 ms netfilter  netfilter ip PREROUTING (mangle): accept
       45.129 ms conntrack  conntrack: ESTABLISHED
       45.159 ms route      routed to cni0, directly connected
       45.187 ms netfilter  netfilter ip FORWARD (mangle, filter): accept
       45.211 ms netfilter  netfilter ip POSTROUTING (mangle): accept
       45.228 ms nat        DNAT undone: source 10.244.2.20:8080 becomes 10.96.0.81:80 again
       45.273 ms bridge     handed to the bridge cni0
       45.290 ms bridge     the bridge forwards it to its port veth2828400f
       45.311 ms device-tx  sent out of veth2828400f (veth)
  netns nt6e11e2-client on node1
       45.329 ms device-rx  received at eth0 (veth)
       49.628 ms socket     delivered to the tcp layer
  ✓ delivered

DELIVERED: 10.244.1.10 reaches 10.96.0.81:80 and the answer comes back
confirmed
evidence:
  - 4 packets of the request and 2 of the reply were followed to their socket
  - 10.96.0.81:80 was translated to 10.244.2.20:8080 on node1 for svc/shop/web-node:http
  - client: the probe was answered after 263 ms
probe: connected after 263 ms
