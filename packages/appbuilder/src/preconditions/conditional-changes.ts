import { IopaError } from '@iopa/constants'
import { type ChangeHost, type ChangeOrder, type ChangeTerms, contextOf, type RunContext } from '@iopa/context/host'
import { closesCircle, isWithin, Lane, Turn, type Waiting } from './lanes.ts'
import { preconditionFailed } from './own-answer.ts'
import { judgeChange } from './precondition-request.ts'
import { runNesting } from './run-nesting.ts'

/** Changes that may wait for one path. */
const MOST_WAITING = 1024

const answerGone = (): IopaError => new IopaError(408, 'answer-gone', 'The request was over before its turn came.')

/** Judges conditional changes, and lets changes of a path take turns while one of them is under way. It knows the requests of one process. */
export class ConditionalChanges implements ChangeOrder {
  readonly #host: ChangeHost
  readonly #lanes = new Map<string, Lane>()
  /** The innermost turn of a context. */
  readonly #turns = new Map<RunContext, Turn>()
  readonly #nesting = runNesting<Turn>()
  active = 0

  constructor(host: ChangeHost) {
    this.#host = host
  }

  run(context: RunContext, { judged, readable, exclusive }: ChangeTerms, handler: () => unknown): unknown {
    const outer = this.#outerOf(context)
    const path = this.#host.nameOf(context.response.resource || context['iopa.PathBase'] + context['iopa.Path'])
    const judgement = judged ? { readable } : null
    let lane = this.#lanes.get(path)
    if (lane === undefined) {
      if (!judged && !exclusive) return handler()
      this.#lanes.set(path, (lane = new Lane()))
    }
    while (lane.holder !== null && isWithin(outer, lane.holder)) lane = lane.holder.inner
    if (lane.holder === null) return judged || exclusive ? this.#take(this.#begin(lane, context, outer), path, judgement, handler) : handler()
    if (closesCircle(lane, outer)) throw new IopaError(409, 'circular-change', 'This change would wait for a change that waits for it.')
    if (lane.waiting.length >= MOST_WAITING)
      throw new IopaError(503, 'overloaded', 'Too many changes wait for this resource; try again.', { headers: { 'retry-after': '1' } })
    return this.#wait(lane, context, outer).then(turn => this.#take(turn, path, judgement, handler))
  }

  /** The innermost turn that a run is nested in: by the context around it, or by the code that started it. */
  #outerOf(context: RunContext): Turn | null {
    if (this.active === 0) return null
    for (let at: RunContext | null = contextOf(context); at !== null; at = at['server.ParentContext']) {
      const turn = this.#turns.get(at)
      if (turn !== undefined) return turn
    }
    let turn: Turn | null = this.#nesting.current() ?? null
    while (turn?.over === true) turn = turn.outer
    return turn
  }

  #begin(lane: Lane, context: RunContext, outer: Turn | null): Turn {
    const turn = new Turn(context, outer, lane)
    lane.holder = turn
    this.#turns.set(contextOf(context), turn)
    this.active++
    return turn
  }

  /** Resolves with the turn of this change; rejects when the request is over before. */
  #wait(lane: Lane, context: RunContext, outer: Turn | null): Promise<Turn> {
    for (let turn = outer; turn !== null; turn = turn.outer) turn.awaited.add(lane)
    return new Promise<Turn>((resolve, reject) => {
      const waiting: Waiting = { context, outer, start: resolve }
      lane.waiting.push(waiting)
      context.onEndAsked(() => {
        const at = lane.waiting.indexOf(waiting)
        if (at < 0) return
        lane.waiting.splice(at, 1)
        reject(answerGone())
      })
    }).finally(() => {
      for (let turn = outer; turn !== null; turn = turn.outer) turn.awaited.delete(lane)
    })
  }

  /** Judges and runs a change that has its turn; the turn is over when the handler has settled, or can no longer be waited for. */
  async #take(turn: Turn, path: string, judgement: { readonly readable: boolean } | null, handler: () => unknown): Promise<unknown> {
    const { clock, timeout } = this.#host
    // A handler that never settles must not hold its path for ever: its request was answered after the first half of this time.
    const late = Number.isFinite(timeout) ? clock.setTimeout(() => this.#end(turn, path), 2 * timeout) : undefined
    try {
      return await this.#nesting.run(turn, async () => {
        if (isOver(turn.context)) throw answerGone()
        if (judgement !== null && !(await this.#holds(turn.context, judgement.readable))) return undefined
        if (isOver(turn.context)) throw answerGone()
        return handler()
      })
    } finally {
      if (late !== undefined) clock.clearTimeout(late)
      this.#end(turn, path)
    }
  }

  /** True when the precondition holds; otherwise the answer says why not. */
  async #holds(context: RunContext, readable: boolean): Promise<boolean> {
    const judgement = await judgeChange(this.#host, context, readable)
    if (judgement === 'proceed') return true
    const answer = context.response
    if (isOver(context)) throw answerGone()
    if (judgement === 'failed') answer.fail(preconditionFailed())
    else {
      for (const [name, value] of judgement.headers) answer.headers.set(name, value)
      if (judgement.error !== null) answer.fail(judgement.error)
      else {
        answer.status = judgement.status
        answer.type = judgement.type
        if (judgement.payload !== null && !judgement.isStream) answer.body = judgement.payload
      }
    }
    return false
  }

  /** Ends a turn, and gives the lane to the change that has waited longest; in one step, so that no other comes between. */
  #end(turn: Turn, path: string): void {
    if (turn.over) return
    turn.over = true
    const { lane, outer, context } = turn
    // Of a mount it has the view, of which there may be several.
    const own = contextOf(context)
    if (outer !== null && contextOf(outer.context) === own && !outer.over) this.#turns.set(own, outer)
    else this.#turns.delete(own)
    lane.holder = null
    const next = lane.waiting.shift()
    if (next !== undefined) next.start(this.#begin(lane, next.context, next.outer))
    else if (this.#lanes.get(path) === lane) this.#lanes.delete(path)
    this.active--
    if (this.active === 0) this.#nesting.stop()
  }
}

const isOver = (context: RunContext): boolean => context.ended || context.response.sealed
