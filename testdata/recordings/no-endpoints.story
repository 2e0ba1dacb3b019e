tcp 10.244.1.10 → 10.96.0.82:80 on node1, kernel 6.18.44, 16 of 16 points attached in 237 ms

#1 request tcp SYN 10.244.1.10:32869 → 10.96.0.82:80 60 bytes
  netns ntd58af1-client on node1
        0.000 ms route      routed via 10.244.1.1 to eth0
        0.094 ms device-tx  sent out of eth0 (veth)
  node node1
        0.099 ms device-rx  received at veth2828400f (veth)
        0.099 ms bridge     taken by the bridge cni0 at its port veth2828400f
        0.117 ms bridge     up from the bridge cni0 to its node
        0.127 ms route      routed via 192.168.50.100 to eth0
        0.186 ms drop       rejected by netfilter in FORWARD at cni0, reason NETFILTER_DROP; answered with ICMP port unreachable
                            iptables-legacy filter/KUBE-SERVICES rule 1: -d 10.96.0.82/32 -p tcp -m
                            comment --comment "shop/empty:http has no endpoints" -m tcp --dport 80
                            -j REJECT --reject-with icmp-port-unreachable (inferred)
  ✗ rejected

#2 related icmp port unreachable 10.244.1.1 → 10.244.1.10 88 bytes
  node node1
        0.000 ms bridge     handed to the bridge cni0
        0.004 ms device-tx  sent out of veth2828400f (veth)
  netns ntd58af1-client on node1
        0.042 ms device-rx  received at eth0 (veth)
        0.043 ms route      routed: for this namespace
        0.047 ms socket     delivered to the sender of the packet that it is about
  ✓ delivered

REJECTED: Service shop/empty has no ready endpoints: kube-proxy rejects 10.96.0.82:80
layer: service · cause: no-endpoints · confirmed · on node1
evidence:
  - kernel: nf_hook_slow dropped SYN 10.244.1.10:32869 → 10.96.0.82:80 on node1 at cni0, reason
    NETFILTER_DROP, in netfilter's FORWARD, and sent ICMP port unreachable
  - kube-proxy's rule says "shop/empty:http has no endpoints"
  - iptables-legacy, table filter, chain KUBE-SERVICES, rule 1: -d 10.96.0.82/32 -p tcp -m comment
    --comment "shop/empty:http has no endpoints" -m tcp --dport 80 -j REJECT --reject-with
    icmp-port-unreachable (kube-proxy's rule, inferred)
  - client: the probe was refused after 0 ms
what to do:
  - kubectl get endpointslices -n shop -l kubernetes.io/service-name=empty -o wide
  - kubectl describe service -n shop empty, then compare its selector and targetPort with the pods'
    labels, readiness and port names
probe: refused after 0 ms
