tcp 10.244.1.10 → 10.96.0.84:80 on node1, kernel 6.18.44, 16 of 16 points attached in 275 ms

#1 request tcp SYN 10.244.1.10:34085 → 10.96.0.84:80 60 bytes
  netns nt809bd7-client on node1
        0.000 ms route      routed via 10.244.1.1 to eth0
        0.120 ms device-tx  sent out of eth0 (veth)
  node node1
        0.147 ms device-rx  received at veth2828400f (veth)
        0.147 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.170 ms nat        DNAT: destination 10.96.0.84:80 becomes 10.244.1.10:8080 for svc/shop/self:http
                            iptables-legacy nat/KUBE-SEP-O2TYUWGYZ4PDZJDS rule 2: -p tcp -m comment
                            --comment "shop/self:http" -m tcp -j DNAT --to-destination
                            10.244.1.10:8080 (inferred)
        0.170 ms route      routed to cni0, directly connected
        0.192 ms bridge     handed to the bridge cni0
        0.212 ms nat        MASQUERADE: source 10.244.1.10:34085 becomes 10.244.1.1:4332
                            iptables-legacy nat/KUBE-POSTROUTING rule 3: -m comment --comment
                            "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
                            (inferred)
        0.233 ms device-tx  sent out of veth2828400f (veth)
  netns nt809bd7-client on node1
        0.236 ms device-rx  received at eth0 (veth)
        0.239 ms route      routed: for this namespace
        0.275 ms socket     delivered to the tcp layer
  ✓ delivered

#2 reply tcp SYN,ACK 10.244.1.10:8080 → 10.244.1.1:4332 60 bytes
  netns nt809bd7-client on node1
        0.000 ms route      routed to eth0, directly connected
        0.023 ms device-tx  sent out of eth0 (veth)
  node node1
        0.026 ms device-rx  received at veth2828400f (veth)
        0.026 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.030 ms nat        SNAT undone: destination 10.244.1.1:4332 becomes 10.244.1.10:34085 again
        0.030 ms route      routed to cni0, directly connected
        0.035 ms bridge     handed to the bridge cni0
        0.039 ms nat        DNAT undone: source 10.244.1.10:8080 becomes 10.96.0.84:80 again
        0.041 ms device-tx  sent out of veth2828400f (veth)
  netns nt809bd7-client on node1
        0.043 ms device-rx  received at eth0 (veth)
        0.044 ms route      routed: for this namespace
        0.055 ms socket     delivered: the TCP connection is established
  ✓ delivered

3 more like #1, 1 more like #2

DELIVERED: 10.244.1.10 reaches 10.96.0.84:80 and the answer comes back
confirmed
evidence:
  - 4 packets of the request and 2 of the reply were followed to their socket
  - 10.96.0.84:80 was translated to 10.244.1.10:8080 on node1 for svc/shop/self:http
  - client: the probe was answered after 0 ms
probe: connected after 0 ms
