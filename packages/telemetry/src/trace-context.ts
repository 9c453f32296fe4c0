import type { HeaderFields } from '@iopa/constants'
import {
  type Context,
  createTraceState,
  isSpanContextValid,
  propagation,
  type TextMapGetter,
  type TextMapPropagator,
  type TextMapSetter,
  trace
} from '@opentelemetry/api'

/** Characters of the longest value that is read: W3C Trace Context section 3.3.1.5 and W3C Baggage section 3.3.2 ask for 512 and 8,192 at least. */
const LONGEST = 512
const LONGEST_BAGGAGE = 8192

/** Headers as a propagator reads them: a field that is too long, or a traceparent that stands twice, is not there. */
const GETTER: TextMapGetter<HeaderFields> = {
  keys: headers => Array.from(headers, ([name]) => name.toLowerCase()),
  get(headers, name) {
    const values = headers.getAll(name)
    if (values.length === 0 || (values.length > 1 && name === 'traceparent')) return undefined
    const value = values.length === 1 ? (values[0] as string) : values.join(',')
    return value.length > (name === 'baggage' ? LONGEST_BAGGAGE : LONGEST) ? undefined : value
  }
}

const SETTER: TextMapSetter<HeaderFields> = { set: (headers, name, value) => headers.set(name, value) }

// W3C Trace Context section 3.2.2: later versions may append fields, version ff is forbidden.
const TRACEPARENT = /^(?!ff)([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/

/** W3C Trace Context, for an app that has set no propagator. */
const TRACE_CONTEXT: TextMapPropagator<HeaderFields> = {
  fields: () => ['traceparent', 'tracestate'],
  inject(context, headers, setter) {
    const span = trace.getSpanContext(context)
    if (span === undefined || !isSpanContextValid(span)) return
    setter.set(headers, 'traceparent', `00-${span.traceId}-${span.spanId}-${(span.traceFlags & 0xff).toString(16).padStart(2, '0')}`)
    const state = span.traceState?.serialize()
    if (state) setter.set(headers, 'tracestate', state)
  },
  extract(context, headers, getter) {
    const parent = getter.get(headers, 'traceparent')
    const match = typeof parent === 'string' ? TRACEPARENT.exec(parent.trim()) : null
    if (match === null || (match[1] === '00' && match[5] !== undefined)) return context
    const [, , traceId, spanId, flags] = match as unknown as string[]
    const state = getter.get(headers, 'tracestate')
    const span = {
      traceId: traceId as string,
      spanId: spanId as string,
      traceFlags: Number.parseInt(flags as string, 16) & 1,
      isRemote: true,
      ...(typeof state === 'string' ? { traceState: createTraceState(state) } : undefined)
    }
    return isSpanContextValid(span) ? trace.setSpanContext(context, span) : context
  }
}

/** What carries traces in headers: that of the app, else W3C Trace Context. */
export const propagatorOf = (given: TextMapPropagator | undefined): TextMapPropagator => {
  if (given !== undefined) return given
  return propagation.fields().length > 0 ? GLOBAL : TRACE_CONTEXT
}

const GLOBAL: TextMapPropagator = {
  fields: () => propagation.fields(),
  inject: (context, carrier, setter) => propagation.inject(context, carrier, setter),
  extract: (context, carrier, getter) => propagation.extract(context, carrier, getter)
}

/** The context of a trace that `headers` carry, within `base`; `base` itself where they carry none that is valid. */
export const extracted = (propagator: TextMapPropagator, base: Context, headers: HeaderFields): Context =>
  propagator.extract(base, headers, GETTER as TextMapGetter)

/** Writes the trace of `context` into `headers`. */
export const injected = (propagator: TextMapPropagator, context: Context, headers: HeaderFields): void => {
  propagator.inject(context, headers, SETTER as TextMapSetter)
}
