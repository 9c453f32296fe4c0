import { type CodecTable, IopaError } from '@iopa/constants'
import { OPEN, RECORD, type RunContext, refuseAnswer, report, sealAnswer } from '@iopa/context/host'
import { toIopaError } from './errors.ts'

/** Turns whatever was thrown into an answer: nothing gets past it, whatever errors, callbacks and loggers do. */
export class ErrorBoundary {
  readonly #codecs: CodecTable

  constructor(codecs: CodecTable) {
    this.#codecs = codecs
  }

  /** Makes the error the answer, sealed or not; one of 500 and more is logged, with the middleware that is to blame. */
  fail(context: RunContext, error: unknown, trouble?: { readonly by: string; readonly at?: RunContext; readonly error?: unknown }): void {
    const visible = toIopaError(error)
    const response = context[RECORD]
    try {
      if (response.state !== OPEN) refuseAnswer(response, visible, this.#codecs)
      else response.fail(visible)
    } catch (fault) {
      // What the error itself asks for, such as a header that no message can carry, must not get past this boundary.
      response.fail(new IopaError(500, 'internal-error'))
      this.#log(context, response.error as IopaError, fault)
    }
    if (visible.status < 500) return
    if (trouble === undefined) this.#log(context, visible, error)
    else this.#log(trouble.at ?? context, visible, trouble.error ?? visible, trouble.by)
  }

  #log(context: RunContext, visible: IopaError, error: unknown, by = ''): void {
    if (context.environment.failures?.take() === false) return
    const line = `iopa: ${context} ${context['iopa.Protocol']} answered ${visible.status} ${visible.code}${by === '' ? '' : ` by '${by}'`}`
    // A shared error has no stack of its own.
    report(context['server.Logger'], line, isShared(error) ? visible.detail : error)
  }

  /** Makes the error the answer whose sealing failed. */
  failAgain(context: RunContext, error: unknown): void {
    this.fail(context, error)
    this.sealNow(context)
  }

  /** Seals an answer that has failed; its callbacks have run, or are not waited for. */
  sealNow(context: RunContext): void {
    const answer = context[RECORD]
    const { error } = answer
    const sealing = sealAnswer(answer, this.#codecs)
    if (sealing === undefined) return
    sealing.catch(() => undefined)
    if (answer.state !== OPEN) return
    answer.fail(error ?? new IopaError(500, 'internal-error'))
    void sealAnswer(answer, this.#codecs)
  }
}

/** A caller could not send an answer that it was handed. */
export const notSent = (context: RunContext, error: unknown): void => {
  report(context['server.Logger'], 'iopa: a transport failed to send an answer', error)
  void context.end('reset')
}

const isShared = (error: unknown): boolean => {
  try {
    return Object.isFrozen(error) && error instanceof IopaError
  } catch {
    return false
  }
}
