import type { Context, Next } from '@iopa/appbuilder'
import { isIopaError } from '@iopa/constants'
import { context as otel, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import type { Protocol } from './protocols.ts'
import { ATTRIBUTE } from './semantic-conventions.ts'
import { answerAttributes, clientAttributes, nameOf } from './span-attributes.ts'
import { extracted, injected, propagatorOf } from './trace-context.ts'
import type { Tracing } from './tracing.ts'

/**
 * Sends a request of a client within a span. Its parent is the `telemetry.Span` of its bag, else the active span, else the trace that its own headers
 * name.
 */
export const sendTraced = (tracing: Tracing, context: Context, next: Next): unknown => {
  if (tracing.ignore?.(context) === true) return next()
  const method = context['iopa.Method']
  const observes = context['iopa.Observe'] === true
  let active: ReturnType<typeof otel.active>
  let own: ClientSpan
  try {
    ;({ active, own } = begun(tracing, context, method))
  } catch (error) {
    tracing.failed(error)
    return next()
  }
  let sent: Promise<unknown>
  try {
    sent = otel.with(active, next) as Promise<unknown>
  } catch (error) {
    own.failed(error)
    throw error
  }
  if (observes) return sent.then(answers => new FirstAnswer(answers as AsyncIterable<Answer>, own), own.rethrown)
  sent.then(own.answered, own.failed)
  return sent
}

/** Begins the span of a client's request. Throws what the SDK throws. */
const begun = (tracing: Tracing, context: Context, method: string): { active: ReturnType<typeof otel.active>; own: ClientSpan } => {
  const { tracer, protocols } = tracing
  const protocol = protocols.of(context['iopa.Scheme'])
  const propagator = propagatorOf(tracing.propagator)
  const given = context['telemetry.Span']
  let parent = otel.active()
  if (given !== undefined) parent = trace.setSpan(parent, given)
  else if (trace.getSpan(parent) === undefined) parent = extracted(propagator, parent, context['iopa.Headers'])
  const publishes = protocol.family === 'messaging' && method !== 'GET'
  const span = tracer.startSpan(
    nameOf(protocol, method, ''),
    { kind: publishes ? SpanKind.PRODUCER : SpanKind.CLIENT, attributes: clientAttributes(protocol, context) },
    parent
  )
  const active = trace.setSpan(parent, span)
  injected(propagator, active, context['iopa.Headers'])
  return { active, own: new ClientSpan(tracing, span, protocol, method) }
}

interface Answer {
  readonly status: number
}

/** A span that ends once: with the answer, or with what is received in its place. */
class ClientSpan {
  readonly #span: Span
  readonly #protocol: Protocol
  readonly #method: string
  readonly #tracing: Tracing
  #ended = false

  constructor(tracing: Tracing, span: Span, protocol: Protocol, method: string) {
    this.#tracing = tracing
    this.#span = span
    this.#protocol = protocol
    this.#method = method
  }

  readonly answered = (answer: unknown): void => {
    const status = (answer as Partial<Answer> | undefined)?.status
    if (this.#ended) return
    this.#close(() => {
      if (typeof status !== 'number') return
      this.#span.setAttributes(answerAttributes(this.#protocol, this.#method, status, ''))
      if (status >= 400) this.#fail(String(status))
    })
  }

  readonly failed = (error: unknown): void => {
    if (this.#ended) return
    this.#close(() => this.#fail(isIopaError(error) ? error.code : error instanceof Error ? error.name : OTHER_ERROR))
  }

  readonly rethrown = (error: unknown): never => {
    this.failed(error)
    throw error
  }

  end(): void {
    this.#close(() => undefined)
  }

  #close(describe: () => void): void {
    if (this.#ended) return
    this.#ended = true
    try {
      describe()
      this.#span.end()
    } catch (error) {
      this.#tracing.failed(error)
    }
  }

  #fail(type: string): void {
    this.#span.setAttribute(ATTRIBUTE.ErrorType, type)
    this.#span.setStatus({ code: SpanStatusCode.ERROR })
  }
}

const OTHER_ERROR = '_OTHER'

/** The answers of an observation, of which the first ends the span. */
class FirstAnswer implements AsyncIterable<Answer>, AsyncIterator<Answer> {
  readonly #answers: AsyncIterator<Answer>
  readonly #span: ClientSpan

  constructor(answers: AsyncIterable<Answer>, span: ClientSpan) {
    this.#answers = answers[Symbol.asyncIterator]()
    this.#span = span
  }

  async next(): Promise<IteratorResult<Answer>> {
    try {
      const answer = await this.#answers.next()
      this.#span.answered(answer.value)
      return answer
    } catch (error) {
      return this.#span.rethrown(error)
    }
  }

  async return(): Promise<IteratorResult<Answer>> {
    this.#span.end()
    return (await this.#answers.return?.()) ?? { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
