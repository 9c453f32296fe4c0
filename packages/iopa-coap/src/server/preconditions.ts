import type { Answer, Context, Host } from '@iopa/appbuilder'
import { CODE } from '../codec/codes.ts'
import { etagHeader, etagOption, hashOf, sameEtag } from '../codec/etag.ts'
import { OPTION } from '../codec/options.ts'
import { Refusal } from './refusal.ts'
import type { CoapRequest } from './request.ts'

/** Checks If-Match and If-None-Match against the representation that there is (RFC 7252 section 5.10.8). */
export class Preconditions {
  readonly #host: Host
  /** Requests with preconditions take turns, path by path: what one has checked the other must not change. */
  readonly #turns = new Map<string, Promise<void>>()

  constructor(host: Host) {
    this.#host = host
  }

  /** Runs `work` when the state is as the request wants it; else calls `refused` with 4.12. */
  guard(request: CoapRequest, context: Context, work: () => Promise<void>, refused: (error: unknown) => void): void {
    const { path } = request
    const turn = (this.#turns.get(path) ?? Promise.resolve())
      .then(() => this.#check(request, context))
      .then(work)
      .catch(refused)
    this.#turns.set(path, turn)
    void turn.then(() => {
      if (this.#turns.get(path) === turn) this.#turns.delete(path)
    })
  }

  async #check(request: CoapRequest, context: Context): Promise<void> {
    const answer = await this.#host.represent(request.path, context)
    // Who may not even look is told so by the pipeline.
    if (!answer.ok && answer.status !== 404 && answer.status !== 405 && answer.status !== 410) return
    if (answer.ok && request.message.options.has(OPTION.IF_NONE_MATCH)) throw new Refusal(CODE.PRECONDITION_FAILED, 'The resource exists already.')
    const tags = request.etags(OPTION.IF_MATCH)
    if (tags.length === 0) return
    const current = answer.ok ? tagOf(answer) : undefined
    const wanted = current !== undefined && tags.some(tag => tag.length === 0 || sameEtag(tag, etagOption(current)))
    if (!wanted) throw new Refusal(CODE.PRECONDITION_FAILED, 'The resource is not in the state that If-Match names.')
    // An empty value means any state.
    if (tags.every(tag => tag.length > 0)) request.matched = current
  }
}

/** The entity tag of a representation: its own, or one made from its content. */
const tagOf = (answer: Answer): string => answer.headers.get('etag') ?? etagHeader(hashOf(answer.payloadBytes))
