import type { Context, Counts, Next } from '@iopa/appbuilder'
import { type AppHandle, checkOptions, type Extension, markFactory } from '@iopa/appbuilder/extension'
import { type Attributes, type Counter, createNoopMeter, type Histogram, type Meter, metrics as otel, type UpDownCounter } from '@opentelemetry/api'
import { Measurements, type Sink } from './measurements.ts'
import { BYTES, COUNTED, METRIC, type MetricDefinition, type MetricName, SECONDS } from './metric-definitions.ts'
import { checkMethod, inUse } from './misuse.ts'
import { ATTRIBUTE, SCOPE_NAME } from './semantic-conventions.ts'

/** Options of metrics. */
export interface MetricsOptions {
  /** Makes the instruments; that of the global meter provider unless given. */
  readonly meter?: Meter
}

const OPTIONS: Record<keyof MetricsOptions, true> = { meter: true }

/** What `metrics` gives to `use`. */
export interface Metrics extends Extension<object> {
  readonly neutral: true
  invoke(context: Context, next: Next): unknown
}

const NOOP = createNoopMeter()

/** OpenTelemetry metrics of requests on every protocol, and of connections and observers. Use it first. Without an SDK it hands requests on. */
export const metrics = (options: MetricsOptions = {}): Metrics => {
  checkOptions('metrics()', options, OPTIONS, metrics)
  checkMethod('metrics()', 'meter', options.meter, 'createHistogram')
  let handle: AppHandle | undefined
  let measurements: Measurements | undefined
  // The SDK may be set up at any time; until then there is nothing to write to.
  const ready = (): Measurements | undefined => {
    const meter = options.meter ?? otel.getMeter(SCOPE_NAME)
    if (meter === NOOP || handle === undefined) return undefined
    count(meter, handle)
    measurements = new Measurements('metrics', new MeterSink(meter), handle)
    return measurements
  }
  return {
    name: 'metrics',
    needsApp: true,
    neutral: true,
    extend(app) {
      if (handle !== undefined) throw inUse('metrics')
      handle = app
      ready()
      return {}
    },
    invoke(context, next) {
      const own = measurements ?? ready()
      return own === undefined ? next() : own.serve(context, next)
    }
  }
}

markFactory('metrics', metrics)

/** Writes to the instruments of a meter. */
class MeterSink implements Sink {
  readonly #counters = {} as Record<MetricName, Counter | UpDownCounter>
  readonly #histograms = {} as Record<MetricName, Histogram>

  constructor(meter: Meter) {
    for (const [name, definition] of Object.entries(METRIC) as [MetricName, MetricDefinition][]) {
      const { kind, unit, description } = definition
      if (kind === 'histogram') {
        const advice = { explicitBucketBoundaries: [...(unit === 's' ? SECONDS : BYTES)] }
        this.#histograms[name] = meter.createHistogram(definition.name, { unit, description, advice })
      } else if (kind === 'counter') this.#counters[name] = meter.createCounter(definition.name, { unit, description })
      else this.#counters[name] = meter.createUpDownCounter(definition.name, { unit, description })
    }
  }

  add(metric: MetricName, amount: number, attributes: Attributes): void {
    this.#counters[metric].add(amount, attributes)
  }

  record(metric: MetricName, value: number, attributes: Attributes): void {
    this.#histograms[metric].record(value, attributes)
  }
}

/** Has the SDK read the counters of the transports when it collects, until the app closes. */
const count = (meter: Meter, handle: AppHandle): void => {
  for (const [counter, { name, kind, unit, description }] of Object.entries(COUNTED) as [keyof Counts, MetricDefinition][]) {
    const options = { unit, description }
    const instrument = kind === 'counter' ? meter.createObservableCounter(name, options) : meter.createObservableUpDownCounter(name, options)
    const read: Parameters<typeof instrument.addCallback>[0] = result => {
      for (const [transport, counts] of Object.entries(handle.counters())) result.observe(counts[counter], { [ATTRIBUTE.Transport]: transport })
    }
    instrument.addCallback(read)
    handle.defer(() => instrument.removeCallback(read))
  }
}
