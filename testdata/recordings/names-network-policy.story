tcp shop/client (10.244.1.10) → shop/web-7d9c5b8f4-abcde:8080 (10.244.2.20:8080) on node1, kernel 6.18.44, 15 of 70 points attached in 139 ms
blind: 39 kernel functions (__ip_local_out, nf_hook_slow, ...): this kernel has neither kprobes nor fentry

#1 request tcp SYN shop/client:34813 → shop/web-7d9c5b8f4-abcde:8080 60 bytes
  pod shop/client on node1
        0.000 ms route      routed via node/node1 to eth0
        0.078 ms device-tx  sent out of eth0 (veth)
  node node1
        0.083 ms device-rx  received at veth2828400f (veth) of shop/client
        0.083 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.100 ms bridge     up from the bridge cni0 to its node
        0.110 ms route      routed via node/node2 to flannel.1
        0.124 ms device-tx  handed to the tunnel device flannel.1
        0.130 ms route      tunnel packet routed to eth0, directly connected
        0.166 ms tunnel     put into VXLAN VNI 1, node/node1 to node/node2:8472
        0.166 ms device-tx  sent out of eth0 inside VXLAN
  node node2
        0.173 ms device-rx  received at eth0 inside VXLAN
        0.179 ms route      tunnel packet routed: for this namespace
        0.191 ms tunnel     taken out of VXLAN VNI 1
        0.191 ms device-rx  comes out of the tunnel device flannel.1
        0.195 ms route      routed to cni0, directly connected
        0.201 ms drop       dropped by netfilter in FORWARD at flannel.1, reason NETFILTER_DROP
                            iptables-legacy filter/cali-tw-veth025acccc rule 5: -m comment --comment
                            "cali:hTHW5nXd1SRHz0QG" -m comment --comment "Drop if no policies passed
                            packet" -j DROP (inferred)
  ✗ dropped

1 more like #1 (1 sent again)

DROPPED: a NetworkPolicy drops shop/client (10.244.1.10) → shop/web-7d9c5b8f4-abcde:8080 (10.244.2.20:8080): Calico's chain cali-tw-veth025acccc on node2
layer: application & policy · cause: network-policy-drop · confirmed · on node2
evidence:
  - kernel: nf_hook_slow dropped SYN shop/client:34813 (10.244.1.10:34813) →
    shop/web-7d9c5b8f4-abcde:8080 (10.244.2.20:8080) on node2 at flannel.1, reason NETFILTER_DROP,
    in netfilter's FORWARD
  - iptables-legacy, table filter, chain cali-tw-veth025acccc, rule 5: -m comment --comment
    "cali:hTHW5nXd1SRHz0QG" -m comment --comment "Drop if no policies passed packet" -j DROP
    (Calico's rule, inferred)
  - the NetworkPolicies of the API deny it: policy shop/web-allow-frontend selects pod
    shop/web-7d9c5b8f4-abcde and no rule of it allows tcp/8080 from shop/client
  - it happened to 2 packets
  - client: the probe timed out after 2001 ms
what to do:
  - kubectl get networkpolicy -A, and allow 10.244.1.10 to reach port 8080 of the pod 10.244.2.20
  - on node2: iptables-legacy -L cali-tw-veth025acccc -vn shows which rule counts
probe: timeout after 2001 ms
