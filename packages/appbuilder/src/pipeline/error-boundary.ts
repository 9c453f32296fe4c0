import { type CodecTable, IopaError } from '@iopa/constants'
import { type Context, report } from '@iopa/context'
import { judgeOwnAnswer } from '../preconditions/own-answer.ts'
import { toIopaError } from './errors.ts'
import type { Done } from './run.ts'

/** Turns whatever was thrown into an answer: nothing gets past it, whatever errors, callbacks and loggers do. */
export class ErrorBoundary {
  readonly #codecs: CodecTable

  constructor(codecs: CodecTable) {
    this.#codecs = codecs
  }

  /** Makes the error the answer, sealed or not; one of 500 and more is logged, with the middleware that is to blame. */
  fail(context: Context, error: unknown, trouble?: { readonly by: string; readonly at?: Context; readonly error?: unknown }): void {
    const visible = toIopaError(error)
    const { response } = context
    try {
      if (response.sealed) response.refuse(visible, this.#codecs)
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

  #log(context: Context, visible: IopaError, error: unknown, by = ''): void {
    if (context.environment.failures?.take() === false) return
    const line = `iopa: ${context} ${context['iopa.Protocol']} answered ${visible.status} ${visible.code}${by === '' ? '' : ` by '${by}'`}`
    // A shared error has no stack of its own.
    report(context['server.Logger'], line, isShared(error) ? visible.detail : error)
  }

  /** Judges the preconditions of a read and seals its answer; a promise comes back where its callbacks are asynchronous. */
  seal(context: Context): void | Promise<void> {
    try {
      judgeOwnAnswer(context, this.#codecs)
      return context.response.seal(this.#codecs)
    } catch (error) {
      this.failAgain(context, error)
    }
  }

  /** Makes the error the answer whose sealing failed. */
  failAgain(context: Context, error: unknown): void {
    this.fail(context, error)
    this.sealNow(context)
  }

  /** Seals an answer that has failed; its callbacks have run, or are not waited for. */
  sealNow(context: Context): void {
    const answer = context.response
    const { error } = answer
    const sealing = answer.seal(this.#codecs)
    if (sealing === undefined) return
    sealing.catch(() => undefined)
    if (answer.sealed) return
    answer.fail(error ?? new IopaError(500, 'internal-error'))
    void answer.seal(this.#codecs)
  }
}

/** Hands an answer to the caller of a run, which may fail. */
export const callDone = (context: Context, done: Done): void => {
  try {
    done(context)
  } catch (error) {
    report(context['server.Logger'], 'iopa: a transport failed to send an answer', error)
    void context.end('reset')
  }
}

const isShared = (error: unknown): boolean => {
  try {
    return Object.isFrozen(error) && error instanceof IopaError
  } catch {
    return false
  }
}
