tcp 10.244.1.10 → 10.244.2.20:8080 on node1, kernel 6.18.44, 16 of 16 points attached in 199 ms

#1 request tcp SYN 10.244.1.10:47109 → 10.244.2.20:8080 60 bytes
  netns ntc21756-client on node1
        0.000 ms route      routed via 10.244.1.1 to eth0
        0.127 ms device-tx  sent out of eth0 (veth)
  node node1
        0.155 ms device-rx  received at veth2828400f (veth)
        0.155 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.180 ms bridge     up from the bridge cni0 to its node
        0.211 ms route      routed via 10.244.2.0 to flannel.1
        0.271 ms drop       dropped by netfilter in FORWARD at cni0, reason NETFILTER_DROP
                            iptables-nft filter/FORWARD policy DROP (inferred)
  ✗ dropped

1 more like #1 (1 sent again)

DROPPED: node1 does not forward pod packets: policy DROP of chain FORWARD (iptables-nft), and no rule accepted 10.244.1.10 → 10.244.2.20
layer: pod network · cause: forward-policy-drop · confirmed · on node1
evidence:
  - kernel: nft_do_chain dropped SYN 10.244.1.10:47109 → 10.244.2.20:8080 on node1 at cni0, reason
    NETFILTER_DROP, in netfilter's FORWARD
  - iptables-nft, table filter, chain FORWARD, policy DROP (node firewall's rule, inferred)
  - it happened to 2 packets
  - client: the probe timed out after 2001 ms
what to do:
  - on node1: iptables-nft -P FORWARD ACCEPT, or let the CNI plugin write its accepting rules again
    (restart its pod on this node)
  - find what set the policy: Docker does when it starts
probe: timeout after 2001 ms
