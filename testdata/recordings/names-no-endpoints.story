tcp shop/client (10.244.1.10) → svc/shop/empty:http (10.96.0.82:80) on node1, kernel 6.18.44, 15 of 70 points attached in 164 ms
svc/shop/empty:http has no endpoints
blind: 39 kernel functions (__ip_local_out, nf_hook_slow, ...): this kernel has neither kprobes nor fentry

#1 request tcp SYN shop/client:40359 → svc/shop/empty:http 60 bytes
  pod shop/client on node1
        0.000 ms route      routed via node/node1 to eth0
        0.091 ms device-tx  sent out of eth0 (veth)
  node node1
        0.096 ms device-rx  received at veth2828400f (veth) of shop/client
        0.096 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.114 ms bridge     up from the bridge cni0 to its node
        0.124 ms route      routed via 192.168.50.100 to eth0
  ? no further sight of it

#2 related icmp port unreachable node/node1 → shop/client 88 bytes
  node node1
        0.000 ms bridge     handed to the bridge cni0
        0.002 ms device-tx  sent out of veth2828400f (veth) of shop/client
  → left the node

LOST: the request was last seen on node1 and nothing tells what became of it
layer: pod network · cause: no-further-sight · inconclusive · on node1
what to do:
  - run it again with a longer --timeout
