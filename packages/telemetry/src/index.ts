/** Traces that cross protocols, metrics, health and readiness. */

export type { Check, CheckResult } from './checks.ts'
export type { DrainOptions, Health, HealthMethods, HealthOptions } from './health.ts'
export { health } from './health.ts'
export { TELEMETRY_KEYS } from './keys.ts'
export type { Metrics, MetricsOptions } from './metrics.ts'
export { metrics } from './metrics.ts'
export type { TraceOptions, Traces } from './traces.ts'
export { traces } from './traces.ts'
