tcp 10.244.1.10 → 10.244.2.20:8080 on node1, kernel 5.10.0-46-cloud-amd64, 55 of 70 points attached in 9929 ms

#1 request tcp SYN 10.244.1.10:56211 → 10.244.2.20:8080 60 bytes
  netns nt083b77-client on node1
        0.000 ms route      routed via 10.244.1.1 to eth0
       34.534 ms netfilter  netfilter ip POSTROUTING: accept
       43.885 ms qdisc      waits in the queue of eth0
       45.965 ms device-tx  sent out of eth0 (veth)
  node node1
       46.555 ms device-rx  received at veth2828400f (veth)
       46.555 ms bridge     taken by the bridge cni0 at its port veth2828400f
       46.903 ms netfilter  netfilter ip PREROUTING (mangle, nat): accept
       47.018 ms conntrack  conntrack: NEW
       54.460 ms bridge     up from the bridge cni0 to its node
       68.667 ms route      routed via 10.244.2.0 to flannel.1
       74.938 ms netfilter  netfilter ip FORWARD (mangle, filter): accept
       75.309 ms netfilter  netfilter ip POSTROUTING (mangle, nat): accept
       75.861 ms conntrack  conntrack: the connection is entered into the table
       76.358 ms device-tx  handed to the tunnel device flannel.1
       81.847 ms route      tunnel packet routed to eth0, directly connected
       96.238 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
       96.384 ms netfilter  tunnel packet, netfilter ip OUTPUT (mangle, nat, filter): accept
       96.433 ms conntrack  tunnel packet, conntrack: NEW
       97.353 ms netfilter  tunnel packet, netfilter ip POSTROUTING (mangle, nat): accept
       97.420 ms conntrack  tunnel packet, conntrack: the connection is entered into the table
      103.552 ms device-tx  sent out of eth0 inside VXLAN
  node node2
      104.769 ms device-rx  received at eth0 inside VXLAN
      104.785 ms netfilter  tunnel packet, netfilter ip PREROUTING (raw, mangle, nat): accept
      104.850 ms conntrack  tunnel packet, conntrack: NEW
      105.247 ms route      tunnel packet routed: for this namespace
      105.483 ms netfilter  tunnel packet, netfilter ip INPUT (mangle, filter, nat): accept
      109.913 ms conntrack  tunnel packet, conntrack: the connection is entered into the table
      131.123 ms tunnel     taken out of VXLAN VNI 1
      131.123 ms device-rx  comes out of the tunnel device flannel.1
      131.587 ms netfilter  netfilter ip PREROUTING (raw, mangle): accept
      131.861 ms conntrack  conntrack: UNTRACKED
      132.119 ms route      routed to cni0, directly connected
      132.379 ms netfilter  netfilter ip FORWARD (mangle, filter): accept
      132.455 ms netfilter  netfilter ip POSTROUTING (mangle): accept
      132.997 ms neighbour  waits for the MAC address of 10.244.2.20 on cni0
      142.171 ms bridge     handed to the bridge cni0
      142.203 ms bridge     the bridge forwards it to its port veth025acccc
      142.279 ms device-tx  sent out of veth025acccc (veth)
  netns nt083b77-web-b on node2
      142.606 ms device-rx  received at eth0 (veth)
      142.680 ms route      routed: for this namespace
      151.340 ms socket     delivered to the tcp layer
  ✓ delivered

#2 reply tcp SYN,ACK 10.244.2.20:8080 → 10.244.1.10:56211 60 bytes
  netns nt083b77-web-b on node2
        0.000 ms route      routed via 10.244.2.1 to eth0
        5.661 ms netfilter  netfilter ip POSTROUTING: accept
        5.841 ms device-tx  sent out of eth0 (veth)
  node node2
        6.519 ms device-rx  received at veth025acccc (veth)
        6.519 ms bridge     taken by the bridge cni0 at its port veth025acccc
        6.601 ms netfilter  netfilter ip PREROUTING (raw, mangle): accept
        6.676 ms conntrack  conntrack: INVALID
        7.137 ms bridge     up from the bridge cni0 to its node
        7.246 ms route      routed via 10.244.1.0 to flannel.1
        7.320 ms netfilter  netfilter ip FORWARD (mangle, filter): drop
        7.851 ms drop       dropped by netfilter in FORWARD at cni0, reason inferred:NETFILTER_DROP
                            iptables-legacy filter/KUBE-FORWARD rule 1: -m conntrack --ctstate
                            INVALID -j DROP (inferred)
  ✗ dropped

#3 request tcp SYN 10.244.1.10:56211 → 10.244.2.20:8080 60 bytes, attempt 2
  netns nt083b77-client on node1
       10.006 ms netfilter  netfilter ip POSTROUTING: accept
       10.145 ms device-tx  sent out of eth0 (veth)
  node node1
       11.899 ms device-rx  received at veth2828400f (veth)
       11.899 ms bridge     taken by the bridge cni0 at its port veth2828400f
       11.963 ms netfilter  netfilter ip PREROUTING (mangle): accept
       11.990 ms conntrack  conntrack: NEW
       12.445 ms bridge     up from the bridge cni0 to its node
       12.573 ms route      routed via 10.244.2.0 to flannel.1
       12.748 ms netfilter  netfilter ip FORWARD (mangle, filter): accept
       12.865 ms netfilter  netfilter ip POSTROUTING (mangle): accept
       12.982 ms device-tx  handed to the tunnel device flannel.1
       13.228 ms tunnel     put into VXLAN VNI 1, 192.168.50.1 to 192.168.50.2:8472
       13.248 ms netfilter  tunnel packet, netfilter ip OUTPUT (mangle, nat, filter): accept
       13.259 ms conntrack  tunnel packet, conntrack: NEW
       13.406 ms netfilter  tunnel packet, netfilter ip POSTROUTING (mangle, nat): accept
       13.544 ms conntrack  tunnel packet, conntrack: the connection is entered into the table
       13.595 ms device-tx  sent out of eth0 inside VXLAN
  node node2
       13.784 ms device-rx  received at eth0 inside VXLAN
       13.792 ms netfilter  tunnel packet, netfilter ip PREROUTING (raw, mangle, nat): accept
       13.812 ms conntrack  tunnel packet, conntrack: NEW
       13.899 ms route      tunnel packet routed: for this namespace
       13.951 ms netfilter  tunnel packet, netfilter ip INPUT (mangle, filter, nat): accept
       13.998 ms conntrack  tunnel packet, conntrack: the connection is entered into the table
       14.146 ms tunnel     taken out of VXLAN VNI 1
       14.146 ms device-rx  comes out of the tunnel device flannel.1
       14.164 ms netfilter  netfilter ip PREROUTING (raw, mangle): accept
       14.190 ms conntrack  conntrack: UNTRACKED
       14.225 ms route      routed to cni0, directly connected
       14.256 ms netfilter  netfilter ip FORWARD (mangle, filter): accept
       14.286 ms netfilter  netfilter ip POSTROUTING (mangle): accept
       14.316 ms bridge     handed to the bridge cni0
       14.334 ms bridge     the bridge forwards it to its port veth025acccc
       14.529 ms device-tx  sent out of veth025acccc (veth)
  netns nt083b77-web-b on node2
       14.558 ms device-rx  received at eth0 (veth)
       14.746 ms route      routed: for this namespace
       21.570 ms socket     delivered to the tcp layer
  ✓ delivered

2 more like #2 (2 sent again)

DROPPED: conntrack on node2 calls SYN,ACK 10.244.2.20:8080 → 10.244.1.10:56211 INVALID, and a rule in FORWARD drops it
layer: service · cause: conntrack-invalid · confirmed · on node2
evidence:
  - kernel: nf_hook_slow dropped SYN,ACK 10.244.2.20:8080 → 10.244.1.10:56211 on node2 at cni0,
    reason inferred:NETFILTER_DROP, in netfilter's FORWARD
  - conntrack knows no connection to which the packet could belong
  - iptables-legacy, table filter, chain KUBE-FORWARD, rule 1: -m conntrack --ctstate INVALID -j
    DROP (kube-proxy's rule, inferred)
  - it happened to 3 packets
  - client: the probe timed out after 2005 ms
what to do:
  - on node2: does the other direction pass another node or skip conntrack (asymmetric route,
    NOTRACK)? conntrack -L; conntrack -S: invalid
  - on node2: out of window: sysctl -w net.netfilter.nf_conntrack_tcp_be_liberal=1
probe: timeout after 2005 ms
