import type { Context, Next } from '@iopa/appbuilder'
import { type AppHandle, checkOptions, type Extension, markFactory, optionError } from '@iopa/appbuilder/extension'
import type { KeysDeclaration } from '@iopa/constants'
import { type TextMapPropagator, type Tracer, trace } from '@opentelemetry/api'
import { sendTraced } from './client-span.ts'
import { TELEMETRY_KEYS } from './keys.ts'
import { checkMethod, firstFailure, inUse } from './misuse.ts'
import { Protocols } from './protocols.ts'
import { SCOPE_NAME } from './semantic-conventions.ts'
import { serveTraced } from './server-span.ts'
import type { Tracing } from './tracing.ts'

/** Options of traces. */
export interface TraceOptions {
  /** Makes the spans; that of the global tracer provider unless given. */
  readonly tracer?: Tracer
  /** Carries traces in headers; that of the API unless given, and W3C Trace Context where none is set there. */
  readonly propagator?: TextMapPropagator
  /**
   * Whether a peer's request continues the trace that it names. With false, or a function that gives false for it, it begins a new trace with a link to
   * that one, so that strangers can neither choose trace ids nor sampling. True unless given.
   */
  readonly trust?: boolean | ((context: Context) => boolean)
  /** True for requests without a span, such as those of probes. */
  readonly ignore?: (context: Context) => boolean
}

const OPTIONS: Record<keyof TraceOptions, true> = { tracer: true, propagator: true, trust: true, ignore: true }

/** What `traces` gives to `use`. */
export interface Traces extends Extension<object> {
  readonly neutral: true
  readonly keys: KeysDeclaration
  invoke(context: Context, next: Next): unknown
  dispatch(context: Context, next: Next): unknown
}

const ALWAYS = (): boolean => true
const NEVER = (): boolean => false

/**
 * OpenTelemetry spans of requests on every protocol, and of the requests of the app's clients, in one trace. Use it first. Without an SDK it hands
 * requests on.
 */
export const traces = (options: TraceOptions = {}): Traces => {
  checkOptions('traces()', options, OPTIONS, traces)
  const { tracer: given, propagator, ignore, trust = true } = options
  checkMethod('traces()', 'tracer', given, 'startSpan')
  checkMethod('traces()', 'propagator', propagator, 'extract')
  if (ignore !== undefined && typeof ignore !== 'function') throw optionError('traces() takes as ignore a function.')
  if (typeof trust !== 'boolean' && typeof trust !== 'function') throw optionError('traces() takes as trust true, false or a function.')
  const trusts = typeof trust === 'function' ? trust : trust ? ALWAYS : NEVER
  let handle: AppHandle | undefined
  let tracing: Tracing | undefined
  const protocols = new Protocols(() => handle?.capabilities ?? {})

  // The SDK may be set up at any time; until then there is nothing to trace with.
  const ready = (): Tracing | undefined => {
    if (tracing !== undefined) return tracing
    const tracer = given ?? sdkTracer()
    if (tracer === undefined) return undefined
    tracing = { tracer, propagator, ignore, trusts, protocols, handle, failed: firstFailure('traces', () => handle) }
    return tracing
  }

  return {
    name: 'traces',
    needsApp: true,
    neutral: true,
    keys: TELEMETRY_KEYS,
    extend(app) {
      if (handle !== undefined) throw inUse('traces')
      handle = app
      return {}
    },
    invoke(context, next) {
      const own = ready()
      return own === undefined ? next() : serveTraced(own, context, next)
    },
    dispatch(context, next) {
      const own = ready()
      return own === undefined ? next() : sendTraced(own, context, next)
    }
  }
}

markFactory('traces', traces)

/** The provider of the API hands on to that of the SDK, once there is one. */
interface Proxy {
  getDelegateTracer?(name: string): Tracer | undefined
}

/** A tracer of the SDK; undefined while there is none. */
const sdkTracer = (): Tracer | undefined => {
  const provider = trace.getTracerProvider()
  const { getDelegateTracer } = provider as Proxy
  return typeof getDelegateTracer === 'function' ? getDelegateTracer.call(provider, SCOPE_NAME) : provider.getTracer(SCOPE_NAME)
}
