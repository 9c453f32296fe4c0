/**
 * Metrics for Prometheus, with prom-client.
 *
 * @example
 * const prom = prometheus()
 * const app = new App().use(prom).use(router()).use(http({ port: 8080 }))
 * app.get('/metrics', prom.handler)
 */
import type { Context, Counts, Next } from '@iopa/appbuilder'
import { type AppHandle, checkOptions, type Extension, markFactory, optionError } from '@iopa/appbuilder/extension'
import type { Attributes } from '@opentelemetry/api'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { Measurements, type Sink } from './measurements.ts'
import { BYTES, COUNTED, METRIC, type MetricDefinition, type MetricName, SECONDS } from './metric-definitions.ts'
import { checkMethod, inUse } from './misuse.ts'

/** Options of Prometheus metrics. */
export interface PrometheusOptions {
  /** Where the metrics are kept; one of its own unless given. The default registry of prom-client is never used. */
  readonly register?: Registry
  /** Upper bounds of the buckets of durations, in seconds; those that OpenTelemetry advises unless given. */
  readonly buckets?: readonly number[]
  /** True adds the metrics of the process: event loop lag, heap, CPU, file descriptors. False unless given. */
  readonly defaultMetrics?: boolean
}

const OPTIONS: Record<keyof PrometheusOptions, true> = { register: true, buckets: true, defaultMetrics: true }

/** What `prometheus` gives to `use`. */
export interface PrometheusMetrics extends Extension<object> {
  readonly neutral: true
  /** Where an app keeps metrics of its own: `new Counter({ registers: [prom.register] })`. */
  readonly register: Registry
  invoke(context: Context, next: Next): unknown
  /** Answers a route with all metrics, in the text format of Prometheus. */
  readonly handler: (context: Context) => Promise<string>
}

/** Prometheus metrics of requests on every protocol, and of connections and observers. Use it first, and its handler on a route. */
export const prometheus = (options: PrometheusOptions = {}): PrometheusMetrics => {
  checkOptions('prometheus()', options, OPTIONS, prometheus)
  checkMethod('prometheus()', 'register', options.register, 'registerMetric')
  checkBuckets(options.buckets)
  const register = options.register ?? new Registry()
  const sink = new RegistrySink(register, options.buckets ?? SECONDS)
  if (options.defaultMetrics === true) collectDefaultMetrics({ register })
  let measurements: Measurements | undefined
  return {
    name: 'prometheus',
    needsApp: true,
    neutral: true,
    register,
    extend(handle) {
      if (measurements !== undefined) throw inUse('prometheus')
      measurements = new Measurements('prometheus', sink, handle)
      count(register, handle)
      return {}
    },
    invoke(context, next) {
      return measurements === undefined ? next() : measurements.serve(context, next)
    },
    handler: async context => {
      const text = await register.metrics()
      context.response.type = register.contentType
      return text
    }
  }
}

markFactory('prometheus', prometheus)

const checkBuckets = (buckets: readonly number[] | undefined): void => {
  if (buckets === undefined) return
  const rises =
    Array.isArray(buckets) && buckets.length > 0 && buckets.every((bound, at) => Number.isFinite(bound) && (at === 0 || bound > buckets[at - 1]))
  if (!rises) throw optionError("'buckets' of prometheus() must be a list of seconds that rise.")
}

/** The name that OpenTelemetry's exporters give to a metric: with its unit, and `_total` on counters. */
const nameOf = ({ name, kind, unit }: MetricDefinition): string =>
  labelOf(name) + (unit === 's' ? '_seconds' : unit === 'By' ? '_bytes' : '') + (kind === 'counter' ? '_total' : '')

const labelOf = (attribute: string): string => attribute.replaceAll('.', '_')

/** Writes to a registry. */
class RegistrySink implements Sink {
  readonly #counters = {} as Record<MetricName, Counter | Gauge>
  readonly #histograms = {} as Record<MetricName, Histogram>
  /** Labels of attributes, which are made once. */
  readonly #labels = new WeakMap<Attributes, Record<string, string | number>>()

  constructor(register: Registry, buckets: readonly number[]) {
    for (const [metric, definition] of Object.entries(METRIC) as [MetricName, MetricDefinition][]) {
      const { kind, unit, description, attributes } = definition
      const configuration = { name: nameOf(definition), help: description, labelNames: attributes.map(labelOf), registers: [register] }
      if (kind === 'histogram') this.#histograms[metric] = new Histogram({ ...configuration, buckets: [...(unit === 's' ? buckets : BYTES)] })
      else this.#counters[metric] = kind === 'counter' ? new Counter(configuration) : new Gauge(configuration)
    }
  }

  add(metric: MetricName, amount: number, attributes: Attributes): void {
    this.#counters[metric].inc(this.#labelsOf(attributes), amount)
  }

  record(metric: MetricName, value: number, attributes: Attributes): void {
    this.#histograms[metric].observe(this.#labelsOf(attributes), value)
  }

  #labelsOf(attributes: Attributes): Record<string, string | number> {
    let labels = this.#labels.get(attributes)
    if (labels === undefined) {
      labels = {}
      for (const [name, value] of Object.entries(attributes)) labels[labelOf(name)] = value as string | number
      this.#labels.set(attributes, labels)
    }
    return labels
  }
}

/** Reads the counters of the transports when the metrics are asked for. */
const count = (register: Registry, handle: AppHandle): void => {
  for (const [counter, definition] of Object.entries(COUNTED) as [keyof Counts, MetricDefinition][]) {
    const { kind, description, attributes } = definition
    const configuration = { name: nameOf(definition), help: description, labelNames: attributes.map(labelOf), registers: [register] }
    const label = labelOf(attributes[0] as string)
    const read = (write: (transport: Record<string, string>, value: number) => void): void => {
      for (const [transport, counts] of Object.entries(handle.counters())) write({ [label]: transport }, counts[counter])
    }
    if (kind === 'gauge') {
      new Gauge({
        ...configuration,
        collect() {
          read((labels, value) => this.set(labels, value))
        }
      })
      continue
    }
    new Counter({
      ...configuration,
      collect() {
        this.reset()
        read((labels, value) => this.inc(labels, value))
      }
    })
  }
}
