import type { Context, Next } from '@iopa/appbuilder'
import { type Link, context as otel, ROOT_CONTEXT, type Span, SpanStatusCode, type TextMapPropagator, trace } from '@opentelemetry/api'
import type { Protocol } from './protocols.ts'
import { ATTRIBUTE } from './semantic-conventions.ts'
import { answerAttributes, nameOf, serverAttributes, serverKind } from './span-attributes.ts'
import { extracted, injected, propagatorOf } from './trace-context.ts'
import type { Tracing } from './tracing.ts'

/** Where a span stands in traces. */
interface Place {
  readonly parent: ReturnType<typeof otel.active>
  readonly links: Link[]
}

/** Runs a request within a span. */
export const serveTraced = (tracing: Tracing, context: Context, next: Next): unknown => {
  const method = context['iopa.Method']
  // A precondition belongs to the run of its change; a connection that has ended asks for nothing.
  if (context['server.IsPrecondition'] || method === 'DISCONNECT' || tracing.ignore?.(context) === true) return next()
  let active: ReturnType<typeof otel.active>
  try {
    active = begun(tracing, context, method)
  } catch (error) {
    tracing.failed(error)
    return next()
  }
  return otel.with(active, next)
}

/** Begins the span of a request. Throws what the SDK throws. */
const begun = (tracing: Tracing, context: Context, method: string): ReturnType<typeof otel.active> => {
  const { tracer, protocols } = tracing
  const protocol = protocols.of(context['iopa.Scheme'])
  const propagator = propagatorOf(tracing.propagator)
  const isNotification = context['server.IsNotification']
  const { parent, links } = isNotification ? placeOfNotification(tracing, context) : placeOf(tracing, propagator, context)
  const span = tracer.startSpan(
    nameOf(protocol, method, ''),
    { kind: serverKind(protocol, context), attributes: serverAttributes(protocol, context), links },
    parent
  )
  const active = trace.setSpan(parent, span)
  // Keys of CONNECT are those of all requests of its connection.
  if (method !== 'CONNECT') context['telemetry.Span'] = span
  if (isNotification) injected(propagator, active, context.response.headers)
  if (span.isRecording()) endWithAnswer(new ServerSpan(tracing, span, protocol, context, method), context, method)
  return active
}

/** An observation, a connection and a subscription last longer than their first answer, with which their spans end. */
const endWithAnswer = (own: ServerSpan, context: Context, method: string): void => {
  const lasts = method === 'CONNECT' || method === 'SUBSCRIBE' || (context['iopa.Observe'] === true && !context['server.IsNotification'])
  if (lasts) context.onSendingHeaders(() => own.end('finish'))
  context.defer(reason => own.end(reason))
}

/** A request continues the trace that it names, or is linked to it where its peer is not trusted. */
const placeOf = (tracing: Tracing, propagator: TextMapPropagator, context: Context): Place => {
  // What listens was opened in some trace, to which requests of peers do not belong.
  const isLocal = context['server.IsLocalOrigin']
  const base = isLocal ? otel.active() : ROOT_CONTEXT
  const named = extracted(propagator, base, context['iopa.Headers'])
  if (isLocal || tracing.trusts(context) === true) return { parent: named, links: [] }
  const remote = trace.getSpanContext(named)
  return { parent: base, links: remote === undefined ? [] : [{ context: remote }] }
}

/** The run of a notification belongs to the trace of the change, and is linked to the request that observes. */
const placeOfNotification = ({ handle }: Tracing, context: Context): Place => {
  const change = handle?.originOf(context)?.['telemetry.Span']
  const observer = context['server.ParentContext']?.['telemetry.Span']
  return {
    parent: change === undefined ? otel.active() : trace.setSpan(ROOT_CONTEXT, change),
    links: observer === undefined ? [] : [{ context: observer.spanContext() }]
  }
}

/** A span that ends once, with what is known of the answer then. */
class ServerSpan {
  readonly #span: Span
  readonly #protocol: Protocol
  readonly #method: string
  readonly #answer: Context['response'] & { readonly route: string; readonly sealed: boolean }
  readonly #tracing: Tracing
  #ended = false

  constructor(tracing: Tracing, span: Span, protocol: Protocol, context: Context, method: string) {
    this.#tracing = tracing
    this.#span = span
    this.#protocol = protocol
    this.#method = method
    this.#answer = context.response as Context['response'] & { readonly route: string }
  }

  end(reason: string): void {
    if (this.#ended) return
    this.#ended = true
    try {
      this.#close(reason)
    } catch (error) {
      this.#tracing.failed(error)
    }
  }

  #close(reason: string): void {
    const span = this.#span
    const { route } = this.#answer
    if (route !== '') span.updateName(nameOf(this.#protocol, this.#method, route))
    const status = statusOf(this.#answer)
    if (status !== 0) span.setAttributes(answerAttributes(this.#protocol, this.#method, status, route))
    if (reason !== 'finish') span.setAttribute(ATTRIBUTE.EndReason, reason)
    if (status >= 500) {
      span.setAttribute(ATTRIBUTE.ErrorType, this.#answer.error?.code ?? String(status))
      span.setStatus({ code: SpanStatusCode.ERROR })
    }
    span.end()
  }
}

/** The status of an answer; 0 where the request was given up before it had one. */
const statusOf = (answer: Context['response']): number => {
  try {
    return answer.status
  } catch {
    // A status that is none: the error boundary makes it 500.
    return 500
  }
}
