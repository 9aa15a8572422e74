/*
 * forward: the C reference for forwarding between two tuns.
 *
 *     forward ONE TWO
 *
 * Attaches to both tuns (names, or names in other namespaces as NAMESPACE/NAME), polls both, and moves up to 64 packets a poll
 * from each to the other: one read(), one write(), one buffer, no offload. Runs until SIGTERM or SIGINT and then prints one JSON
 * line: packets and bytes moved in both directions and the wall, user and system time between the two SIGUSR1 (start of the measured interval) ... see main.
 */
