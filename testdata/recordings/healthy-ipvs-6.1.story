tcp 10.244.1.10 → 10.96.0.90:80 on node1, kernel 6.1.0-56-cloud-amd64, 55 of 70 points attached in 8852 ms

#1 request tcp SYN 10.244.1.10:59227 → 10.96.0.90:80 60 bytes
  netns ntd4cbe6-client on node1
        0.000 ms route      routed via 10.244.1.1 to eth0
       32.637 ms netfilter  netfilter ip POSTROUTING: accept
       59.957 ms device-tx  sent out of eth0 (veth)
  node node1
       62.128 ms device-rx  received at veth2828400f (veth)
       62.128 ms bridge     taken by the bridge cni0 at its port veth2828400f
       62.586 ms netfilter  netfilter ip PREROUTING (mangle, nat): accept
       62.697 ms conntrack  conntrack: NEW
       74.768 ms bridge     up from the bridge cni0 to its node
       75.629 ms route      routed: for this namespace
       85.012 ms netfilter  netfilter ip INPUT (mangle, filter): taken by IPVS
       86.684 ms ipvs       IPVS: 10.96.0.90:80 goes to the real server 10.244.2.20:8080 (masquerading)
                            ipvs -a -t 10.96.0.90:80 -r 10.244.2.20:8080 -m (exact)
       87.800 ms netfilter  netfilter ip OUTPUT (mangle, filter): accept
       87.825 ms conntrack  conntrack: NEW
       88.067 ms nat        DNAT: destination 10.96.0.90:80 becomes 10.244.2.20:8080
                            ipvs -a -t 10.96.0.90:80 -r 10.244.2.20:8080 -m (exact)
       88.067 ms route      routed via 10.244.2.0 to flannel.1
       95.909 ms netfilter  netfilter ip POSTROUTING (mangle, nat): accept
       96.421 ms conntrack  conntrack: the connection is entered into the table
       96.858 ms device-tx  handed to the tunnel device flannel.1
       97.853 ms route      tunnel packet routed to eth0, directly connected
       98.939 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
       99.022 ms netfilter  tunnel packet, netfilter ip OUTPUT (mangle, nat, filter): accept
       99.032 ms conntrack  tunnel packet, conntrack: NEW
       99.567 ms netfilter  tunnel packet, netfilter ip POSTROUTING (mangle, nat): accept
       99.603 ms conntrack  tunnel packet, conntrack: the connection is entered into the table
      120.106 ms device-tx  sent out of eth0 inside VXLAN
  node node2
      123.409 ms device-rx  received at eth0 inside VXLAN
      123.419 ms netfilter  tunnel packet, netfilter ip PREROUTING (mangle, nat): accept
      123.431 ms conntrack  tunnel packet, conntrack: NEW
      128.310 ms route      tunnel packet routed: for this namespace
      128.783 ms netfilter  tunnel packet, netfilter ip INPUT (mangle, filter, nat): accept
      128.951 ms conntrack  tunnel packet, conntrack: the connection is entered into the table
      140.044 ms tunnel     taken out of VXLAN VNI 1
      140.044 ms device-rx  comes out of the tunnel device flannel.1
      143.056 ms netfilter  netfilter ip PREROUTING (mangle, nat): accept
      143.099 ms conntrack  conntrack: NEW
      143.409 ms route      routed to cni0, directly connected
      143.944 ms netfilter  netfilter ip FORWARD (mangle, filter): accept
      144.050 ms netfilter  netfilter ip POSTROUTING (mangle, nat): accept
      144.119 ms conntrack  conntrack: the connection is entered into the table
      147.378 ms neighbour  waits for the MAC address of 10.244.2.20 on cni0
      151.183 ms bridge     handed to the bridge cni0
      151.224 ms bridge     the bridge forwards it to its port veth025acccc
      155.063 ms device-tx  sent out of veth025acccc (veth)
  netns ntd4cbe6-web-b on node2
      155.477 ms device-rx  received at eth0 (veth)
      155.530 ms route      routed: for this namespace
      163.068 ms socket     delivered to the tcp layer
  ✓ delivered

#2 reply tcp SYN,ACK 10.244.2.20:8080 → 10.244.1.10:59227 60 bytes
  netns ntd4cbe6-web-b on node2
        0.000 ms route      routed via 10.244.2.1 to eth0
        1.379 ms netfilter  netfilter ip POSTROUTING: accept
        4.086 ms device-tx  sent out of eth0 (veth)
  node node2
        4.666 ms device-rx  received at veth025acccc (veth)
        4.666 ms bridge     taken by the bridge cni0 at its port veth025acccc
        4.728 ms netfilter  netfilter ip PREROUTING (mangle): accept
        4.753 ms conntrack  conntrack: ESTABLISHED
        9.680 ms bridge     up from the bridge cni0 to its node
        9.823 ms route      routed via 10.244.1.0 to flannel.1
        9.933 ms netfilter  netfilter ip FORWARD (mangle, filter): accept
       10.005 ms netfilter  netfilter ip POSTROUTING (mangle): accept
       10.071 ms device-tx  handed to the tunnel device flannel.1
       10.151 ms route      tunnel packet routed to eth0, directly connected
       10.257 ms tunnel     put into VXLAN VNI 1, 192.168.50.2 to 192.168.50.1:8472
       10.265 ms netfilter  tunnel packet, netfilter ip OUTPUT (mangle, nat, filter): accept
       10.273 ms conntrack  tunnel packet, conntrack: NEW
       10.377 ms netfilter  tunnel packet, netfilter ip POSTROUTING (mangle, nat): accept
       10.411 ms conntrack  tunnel packet, conntrack: the connection is entered into the table
       10.474 ms device-tx  sent out of eth0 inside VXLAN
  node node1
       10.613 ms device-rx  received at eth0 inside VXLAN
       10.618 ms netfilter  tunnel packet, netfilter ip PREROUTING (mangle, nat): accept
       10.624 ms conntrack  tunnel packet, conntrack: NEW
       10.680 ms route      tunnel packet routed: for this namespace
       10.711 ms netfilter  tunnel packet, netfilter ip INPUT (mangle, filter, nat): accept
       10.774 ms conntrack  tunnel packet, conntrack: the connection is entered into the table
       39.362 ms tunnel     taken out of VXLAN VNI 1
       39.362 ms device-rx  comes out of the tunnel device flannel.1
       39.541 ms netfilter  netfilter ip PREROUTING (mangle): accept
       39.583 ms conntrack  conntrack: ESTABLISHED
       39.747 ms route      routed to cni0, directly connected
       41.073 ms netfilter  netfilter ip FORWARD (mangle, filter): accept
       41.704 ms nat        DNAT undone: source 10.244.2.20:8080 becomes 10.96.0.90:80 again
       42.122 ms netfilter  netfilter ip POSTROUTING (mangle): accept
       42.374 ms qdisc      waits in the queue of cni0
       45.526 ms bridge     handed to the bridge cni0
       45.623 ms bridge     the bridge forwards it to its port veth2828400f
       45.752 ms device-tx  sent out of veth2828400f (veth)
  netns ntd4cbe6-client on node1
       45.876 ms device-rx  received at eth0 (veth)
       46.300 ms route      routed: for this namespace
       55.677 ms socket     delivered: the TCP connection is established
  ✓ delivered

#3 request tcp ACK 10.244.1.10:59227 → 10.96.0.90:80 52 bytes
  netns ntd4cbe6-client on node1
        0.021 ms netfilter  netfilter ip POSTROUTING: accept
        0.125 ms device-tx  sent out of eth0 (veth)
  node node1
        0.396 ms device-rx  received at veth2828400f (veth)
        0.396 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.443 ms netfilter  netfilter ip PREROUTING (mangle): accept
        0.459 ms conntrack  conntrack: ESTABLISHED
        9.007 ms bridge     up from the bridge cni0 to its node
        9.089 ms route      routed: for this namespace
       11.474 ms netfilter  netfilter ip INPUT (mangle, filter): taken by IPVS
       11.763 ms ipvs       IPVS: 10.96.0.90:80 goes to the real server 10.244.2.20:8080 (masquerading)
                            ipvs -a -t 10.96.0.90:80 -r 10.244.2.20:8080 -m (exact)
       11.839 ms netfilter  netfilter ip OUTPUT (mangle, filter): accept
       11.851 ms conntrack  conntrack: ESTABLISHED
       11.906 ms nat        DNAT: destination 10.96.0.90:80 becomes 10.244.2.20:8080
                            ipvs -a -t 10.96.0.90:80 -r 10.244.2.20:8080 -m (exact)
       11.906 ms route      routed via 10.244.2.0 to flannel.1
       11.958 ms netfilter  netfilter ip POSTROUTING (mangle): accept
       12.018 ms device-tx  handed to the tunnel device flannel.1
       12.175 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
       12.182 ms netfilter  tunnel packet, netfilter ip OUTPUT (mangle, filter): accept
       12.187 ms conntrack  tunnel packet, conntrack: NEW
       12.250 ms netfilter  tunnel packet, netfilter ip POSTROUTING (mangle): accept
       12.280 ms device-tx  sent out of eth0 inside VXLAN
  node node2
       12.453 ms device-rx  received at eth0 inside VXLAN
       12.461 ms netfilter  tunnel packet, netfilter ip PREROUTING (mangle): accept
       12.466 ms conntrack  tunnel packet, conntrack: NEW
       12.508 ms route      tunnel packet routed: for this namespace
       12.540 ms netfilter  tunnel packet, netfilter ip INPUT (mangle, filter): accept
       43.710 ms tunnel     taken out of VXLAN VNI 1
       43.710 ms device-rx  comes out of the tunnel device flannel.1
       43.832 ms netfilter  netfilter ip PREROUTING (mangle): accept
       43.869 ms conntrack  conntrack: ESTABLISHED
       44.001 ms route      routed to cni0, directly connected
       44.172 ms netfilter  netfilter ip FORWARD (mangle, filter): accept
       44.209 ms netfilter  netfilter ip POSTROUTING (mangle): accept
       44.327 ms bridge     handed to the bridge cni0
       44.374 ms bridge     the bridge forwards it to its port veth025acccc
       44.416 ms device-tx  sent out of veth025acccc (veth)
  netns ntd4cbe6-web-b on node2
       44.570 ms device-rx  received at eth0 (veth)
       44.596 ms route      routed: for this namespace
       63.555 ms socket     delivered: the TCP connection is established
  ✓ delivered

#5 reply tcp ACK 10.244.2.20:8080 → 10.244.1.10:59227 52 bytes
  netns ntd4cbe6-web-b on node2
        0.000 ms route      routed via 10.244.2.1 to eth0
       26.780 ms netfilter  netfilter ip POSTROUTING: accept
       26.872 ms device-tx  sent out of eth0 (veth)
  node node2
       27.494 ms device-rx  received at veth025acccc (veth)
       27.494 ms bridge     taken by the bridge cni0 at its port veth025acccc
       27.545 ms netfilter  netfilter ip PREROUTING (mangle): accept
       27.564 ms conntrack  conntrack: ESTABLISHED
       27.735 ms bridge     up from the bridge cni0 to its node
       27.837 ms route      routed via 10.244.1.0 to flannel.1
       27.914 ms netfilter  netfilter ip FORWARD (mangle, filter): accept
       27.959 ms netfilter  netfilter ip POSTROUTING (mangle): accept
       28.004 ms device-tx  handed to the tunnel device flannel.1
       28.078 ms route      tunnel packet routed to eth0, directly connected
       28.181 ms tunnel     put into VXLAN VNI 1, 192.168.50.2 to 192.168.50.1:8472
       28.190 ms netfilter  tunnel packet, netfilter ip OUTPUT (mangle, filter): accept
       28.196 ms conntrack  tunnel packet, conntrack: NEW
       28.239 ms netfilter  tunnel packet, netfilter ip POSTROUTING (mangle): accept
       28.279 ms device-tx  sent out of eth0 inside VXLAN
  node node1
       28.411 ms device-rx  received at eth0 inside VXLAN
       28.417 ms netfilter  tunnel packet, netfilter ip PREROUTING (mangle): accept
       28.424 ms conntrack  tunnel packet, conntrack: NEW
       28.467 ms route      tunnel packet routed: for this namespace
       28.501 ms netfilter  tunnel packet, netfilter ip INPUT (mangle, filter): accept
       28.659 ms tunnel     taken out of VXLAN VNI 1
       28.659 ms device-rx  comes out of the tunnel device flannel.1
       28.677 ms netfilter  netfilter ip PREROUTING (mangle): accept
       28.683 ms conntrack  conntrack: ESTABLISHED
       28.720 ms route      routed to cni0, directly connected
       28.751 ms netfilter  netfilter ip FORWARD (mangle, filter): accept
       28.806 ms nat        DNAT undone: source 10.244.2.20:8080 becomes 10.96.0.90:80 again
       28.850 ms netfilter  netfilter ip POSTROUTING (mangle): accept
       28.891 ms bridge     handed to the bridge cni0
       28.911 ms bridge     the bridge forwards it to its port veth2828400f
       28.936 ms device-tx  sent out of veth2828400f (veth)
  netns ntd4cbe6-client on node1
       28.961 ms device-rx  received at eth0 (veth)
       30.788 ms socket     delivered to the tcp layer
  ✓ delivered

1 more like #3, 1 more like #5

#8 request tcp ACK 10.244.1.10:59227 → 10.244.2.20:8080 52 bytes
  node node1
        0.000 ms device-tx  handed to the tunnel device flannel.1
        0.851 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
        0.868 ms netfilter  tunnel packet, netfilter ip OUTPUT (mangle, nat, filter): accept
        0.880 ms conntrack  tunnel packet, conntrack: NEW
        1.135 ms netfilter  tunnel packet, netfilter ip POSTROUTING (mangle, nat): accept
        1.190 ms conntrack  tunnel packet, conntrack: the connection is entered into the table
        1.285 ms device-tx  sent out of eth0 inside VXLAN
  node node2
        1.563 ms device-rx  received at eth0 inside VXLAN
        1.576 ms netfilter  tunnel packet, netfilter ip PREROUTING (mangle, nat): accept
        1.586 ms conntrack  tunnel packet, conntrack: NEW
        1.688 ms route      tunnel packet routed: for this namespace
        1.748 ms netfilter  tunnel packet, netfilter ip INPUT (mangle, filter, nat): accept
        1.806 ms conntrack  tunnel packet, conntrack: the connection is entered into the table
        2.718 ms tunnel     taken out of VXLAN VNI 1
        2.718 ms device-rx  comes out of the tunnel device flannel.1
        2.747 ms netfilter  netfilter ip PREROUTING (mangle): accept
        2.761 ms conntrack  conntrack: ESTABLISHED
        2.849 ms route      routed to cni0, directly connected
        2.907 ms netfilter  netfilter ip FORWARD (mangle, filter): accept
        2.947 ms netfilter  netfilter ip POSTROUTING (mangle): accept
        3.000 ms bridge     handed to the bridge cni0
        3.028 ms bridge     the bridge forwards it to its port veth025acccc
        3.066 ms device-tx  sent out of veth025acccc (veth)
  netns ntd4cbe6-web-b on node2
        3.103 ms device-rx  received at eth0 (veth)
        3.582 ms socket     delivered to the tcp layer
  ✓ delivered

#7 request tcp ACK 10.244.1.10:59227 → 10.96.0.90:80 52 bytes
  netns ntd4cbe6-client on node1
        0.000 ms route      routed via 10.244.1.1 to eth0
        1.381 ms netfilter  netfilter ip POSTROUTING: accept
        1.413 ms device-tx  sent out of eth0 (veth)
  node node1
        4.183 ms device-rx  received at veth2828400f (veth)
        4.183 ms bridge     taken by the bridge cni0 at its port veth2828400f
        4.239 ms netfilter  netfilter ip PREROUTING (mangle): accept
        4.258 ms conntrack  conntrack: ESTABLISHED
        4.484 ms bridge     up from the bridge cni0 to its node
        4.565 ms route      routed: for this namespace
        9.522 ms netfilter  netfilter ip INPUT (mangle, filter): taken by IPVS
        9.637 ms ipvs       IPVS: 10.96.0.90:80 goes to the real server 10.244.2.20:8080 (masquerading)
                            ipvs -a -t 10.96.0.90:80 -r 10.244.2.20:8080 -m (exact)
        9.896 ms netfilter  netfilter ip OUTPUT (mangle, filter): accept
        9.921 ms conntrack  conntrack: ESTABLISHED
       10.010 ms nat        DNAT: destination 10.96.0.90:80 becomes 10.244.2.20:8080
                            ipvs -a -t 10.96.0.90:80 -r 10.244.2.20:8080 -m (exact)
       10.010 ms route      routed via 10.244.2.0 to flannel.1
       10.090 ms netfilter  netfilter ip POSTROUTING (mangle)
  ? no further sight of it

DELIVERED: 10.244.1.10 reaches 10.96.0.90:80 and the answer comes back
confirmed
evidence:
  - 4 packets of the request and 3 of the reply were followed to their socket
  - 10.96.0.90:80 was translated to 10.244.2.20:8080 on node1
  - client: the probe was answered after 324 ms
probe: connected after 324 ms
