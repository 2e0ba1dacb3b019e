tcp 10.244.1.10 → 10.244.2.20:8080 on node1, kernel 6.12.117+deb12-cloud-amd64, 55 of 70 points attached in 3530 ms

#1 request tcp SYN 10.244.1.10:56343 → 10.244.2.20:8080 60 bytes
  netns nt6699ab-client on node1
        0.000 ms route      routed via 10.244.1.1 to eth0
       24.631 ms netfilter  netfilter ip POSTROUTING: accept
       33.139 ms qdisc      waits in the queue of eth0
       34.664 ms device-tx  sent out of eth0 (veth)
  node node1
       42.346 ms device-rx  received at veth2828400f (veth)
       42.346 ms bridge     taken by the bridge cni0 at its port veth2828400f
       42.922 ms netfilter  netfilter ip PREROUTING: drop
       43.058 ms conntrack  conntrack: no entry, the table is full
       44.547 ms drop       dropped by netfilter in PREROUTING at cni0, reason NETFILTER_DROP: the conntrack table is full
  ✗ dropped

#2 request tcp SYN 10.244.1.10:56343 → 10.244.2.20:8080 60 bytes, attempt 2
  netns nt6699ab-client on node1
        0.063 ms netfilter  netfilter ip POSTROUTING: accept
        0.196 ms device-tx  sent out of eth0 (veth)
  node node1
       10.766 ms device-rx  received at veth2828400f (veth)
       10.766 ms bridge     taken by the bridge cni0 at its port veth2828400f
       10.827 ms netfilter  netfilter ip PREROUTING: drop
       10.854 ms conntrack  conntrack: no entry, the table is full
       11.086 ms drop       dropped by netfilter in PREROUTING at cni0, reason NETFILTER_DROP: the conntrack table is full
  ✗ dropped

DROPPED: the conntrack table of node1 is full: new connections are dropped
layer: service · cause: conntrack-full · confirmed · on node1
evidence:
  - kernel: nf_hook_slow dropped SYN 10.244.1.10:56343 → 10.244.2.20:8080 on node1 at cni0, reason
    NETFILTER_DROP, in netfilter's PREROUTING
  - the kernel looked for an entry to drop and found none, then dropped the packet
  - state: 65536 of 65536 entries are used
  - it happened to 2 packets
  - client: the probe timed out after 2017 ms
what to do:
  - on node1: conntrack -C; sysctl net.netfilter.nf_conntrack_max; raise the maximum
  - on node1: conntrack -L | grep -o 'src=[^ ]*' | awk 'NR%2==1' | sort | uniq -c | sort -n | tail
    shows who holds the entries
probe: timeout after 2017 ms
