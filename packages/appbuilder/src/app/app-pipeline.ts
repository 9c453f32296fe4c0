import { IopaError, type Logger } from '@iopa/constants'
import type { Context } from '@iopa/context'
import type { RunContext } from '@iopa/context/host'
import { type ComposedPipeline, compose, noRoute } from '../pipeline/compose.ts'
import type { MiddlewareFunction } from '../pipeline/middleware.ts'
import { SHUT_DOWN } from '../pipeline/runner.ts'
import { sequence } from '../pipeline/sequence.ts'
import type { PipelineEntry } from './entries.ts'
import { dispatchLayersOf, layersOf } from './run-order.ts'

/** The entries of an app in `use` order, and the pipeline that they are composed to, once. */
export class AppPipeline {
  readonly entries: PipelineEntry[] = []
  readonly #logger: Logger
  readonly #check: () => void
  #composed: ComposedPipeline | null = null
  /** True when an app is mounted in this one. */
  nests = false

  /** `check` refuses what does not fit together, before the first composition. */
  constructor(logger: Logger, check: () => void) {
    this.#logger = logger
    this.#check = check
  }

  /** True once nothing can be added any more. */
  get isFixed(): boolean {
    return this.#composed !== null
  }

  add(entry: PipelineEntry): void {
    this.entries.push(entry)
    this.nests ||= entry.app !== null
  }

  /** Composes the entries, and those of the apps within. @throws IopaError 500 where they do not fit. */
  compose(): ComposedPipeline {
    if (this.#composed !== null) return this.#composed
    this.#check()
    const { layers, names } = layersOf(this.entries, this.#logger, false)
    this.#composed = compose(layers, noRoute, names, true)
    for (const { app } of this.entries) app?.build()
    return this.#composed
  }

  /** The pipeline as a function of a context. */
  handler(): (context: Context) => Promise<unknown> {
    const pipeline = this.compose()
    // Not asynchronous by itself: that would wait once more for the promise of the pipeline.
    return context => {
      try {
        if (context.ended && context.endReason === 'shutdown') throw SHUT_DOWN
        return Promise.resolve(pipeline(context as RunContext))
      } catch (error) {
        return Promise.reject(error)
      }
    }
  }

  /** The pipeline within another app: what it does not route goes on there, from a branch of `fork` nowhere. */
  within(branch: boolean, isClosed: () => boolean): MiddlewareFunction {
    let run: MiddlewareFunction | null = null
    return (context, next) => {
      if (isClosed()) throw SHUT_DOWN
      if (run === null) {
        const { layers, names } = layersOf(this.entries, this.#logger, true)
        run = sequence(layers, branch ? noRoute : undefined, names)
      }
      return run(context, next)
    }
  }

  /** The layers of requests that clients of the app send. */
  dispatchLayers(): MiddlewareFunction[] {
    return dispatchLayersOf(this.entries)
  }

  /** @throws IopaError 500 once the pipeline is fixed. */
  assertOpen(what: string): void {
    if (this.isFixed)
      throw new IopaError(500, 'already-built', `${what}() after build(): the pipeline is fixed; add everything before the first request.`)
  }
}
