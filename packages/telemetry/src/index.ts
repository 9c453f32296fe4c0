/** Traces that cross protocols, metrics, health and readiness. */

export {}
