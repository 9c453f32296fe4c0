import { type Clock, IopaError } from '@iopa/transport'

/** A step of a sequence. Its promise never rejects. */
export type Step = () => void | Promise<void>

/** Does one thing after the other: at once where everything before is done, which costs no turn of the event loop. */
export class Sequence {
  readonly #waiting: Step[] = []
  #running: Promise<void> | undefined

  /** Resolves when everything is done; undefined where it is. */
  get done(): Promise<void> | undefined {
    return this.#running
  }

  run(step: Step): void {
    if (this.#running !== undefined) {
      this.#waiting.push(step)
      return
    }
    const first = step()
    if (first !== undefined) this.#running = this.#finish(first)
  }

  async #finish(first: Promise<void>): Promise<void> {
    await first
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) await next()
    this.#running = undefined
  }
}

/** Calls `then` with a value, or later with that of a promise. `failed` gets what was thrown, or that it took longer than so many milliseconds; a value that comes after that is given to `late`. */
export const settle = <T>(
  work: () => T | Promise<T>,
  { clock, timeout, failed, late }: { clock: Clock; timeout: number; failed(error: unknown): void; late?(value: T): void },
  then: (value: T) => void
): void | Promise<void> => {
  let value: T | Promise<T>
  try {
    value = work()
  } catch (error) {
    failed(error)
    return undefined
  }
  if (!(value instanceof Promise)) {
    then(value)
    return undefined
  }
  const promise = value
  return new Promise(resolve => {
    let expired = false
    const timer = clock.setTimeout(() => {
      expired = true
      failed(new IopaError(504, 'protection-timeout', `The protection of a message took longer than ${timeout} ms.`))
      resolve()
    }, timeout)
    const settled = (end: () => void): void => {
      clock.clearTimeout(timer)
      end()
      resolve()
    }
    promise.then(
      result => (expired ? late?.(result) : settled(() => then(result))),
      (error: unknown) => (expired ? undefined : settled(() => failed(error)))
    )
  })
}
