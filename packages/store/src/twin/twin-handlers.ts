import { type Context, IopaError } from '@iopa/appbuilder'
import type { Patch, PresenceState, ResourceRequest } from '@iopa/appbuilder/extension'
import type { DocumentKeys, Params } from '../document-keys.ts'
import type { MaybePromise } from '../turns.ts'
import { emptyTwin, type TwinDocument, type TwinPart, withDesired, withReported } from './document.ts'
import { isMembers, type Members } from './members.ts'
import { assertHolds, assertWaits, hasPrecondition, notModified } from './preconditions.ts'
import { partTag, SEEN_HEADER, seenOf } from './tags.ts'
import type { TwinChange, TwinDocuments } from './twin-documents.ts'

/** What the handlers of twins need. */
export interface TwinHandlerHost {
  readonly keys: DocumentKeys
  readonly documents: TwinDocuments
  /** Undefined where the twins have been read; otherwise a promise of that. */
  open(): Promise<void> | undefined
  readonly device: (context: Context) => boolean
  readonly user: (context: Context) => boolean
  /** A request of the device, if it is one, counts for its presence. */
  heard(key: string, context: Context): void
  presenceOf(key: string): PresenceState
}

type Request = ResourceRequest<Params>
type Handler = (request: Request) => unknown

/** The handlers of a twin and its parts, by the methods of their contracts. */
export interface TwinHandlers {
  readonly whole: Readonly<Record<'get' | 'delete', Handler>>
  readonly reported: Readonly<Record<'get' | 'put' | 'patch' | 'ipatch', Handler>>
  readonly desired: Readonly<Record<'get' | 'put' | 'patch' | 'ipatch', Handler>>
  readonly delta: Readonly<Record<'get', Handler>>
  readonly presence: Readonly<Record<'get', Handler>>
}

/** A change of a part: the whole part after it, and the members that it names. */
interface PartChange {
  readonly next: Members
  readonly named: Members | undefined
}

const notTheDevice = (): IopaError => new IopaError(403, 'not-the-device', 'Only the device itself reports: authenticate as the device.')
const mayNotDesire = (): IopaError => new IopaError(403, 'not-permitted', 'This user may not change what the device should be.')
const noTwin = (): IopaError => new IopaError(404, 'not-found', 'There is no such device.')

/** `kept` is called for each request that has changed a twin. */
export const twinHandlers = (host: TwinHandlerHost, kept: (change: TwinChange, context: Context) => void): TwinHandlers => {
  const { keys, documents } = host

  const answer = (context: Context, twin: TwinDocument, part: TwinPart): Members => {
    context.response.headers.set('etag', partTag(twin, part, context))
    return twin[part]
  }

  const get =
    (part: TwinPart): Handler =>
    ({ params, context }) => {
      const twin = documents.currentOf(keys.of(params))
      return notModified(context, twin, part) ?? answer(context, twin, part)
    }

  /** Changes a part by `work`, and answers it. */
  const change = (request: Request, part: TwinPart, work: (twin: TwinDocument) => MaybePromise<TwinDocument>): MaybePromise<unknown> => {
    const { params, context } = request
    const settled = (done: TwinChange): unknown => {
      kept(done, context)
      return answer(context, done.twin ?? emptyTwin(), part)
    }
    const conditional = hasPrecondition(context)
    const outcome = documents.change(keys.of(params), twin => {
      assertWaits(context)
      if (conditional) assertHolds(context, twin, part)
      return work(twin)
    })
    return outcome instanceof Promise ? outcome.then(settled) : settled(outcome)
  }

  const put = ({ input }: Request): PartChange => ({ next: input as Members, named: input as Members })

  /** What a PATCH makes of a part. A JSON Patch names what it changes; a merge patch, all that is in it. */
  const patched = async ({ input, context }: Request, part: Members): Promise<PartChange> => {
    const next = (await (input as Patch<Members>).apply(part)) as Members
    const { type } = context
    const body = /json-patch\+json|cbor/i.test(type) ? undefined : await context.json()
    return { next, named: isMembers(body) ? body : undefined }
  }

  const report =
    (isPatch: boolean): Handler =>
    request => {
      const { context } = request
      if (!context['server.IsReplica'] && !host.device(context)) throw notTheDevice()
      const seen = seenOf(context.headers.get(SEEN_HEADER))
      const apply = (twin: TwinDocument, { next, named }: PartChange): TwinDocument => withReported(twin, next, named ?? next, seen)
      return change(request, 'reported', twin =>
        isPatch ? patched(request, twin.reported).then(changed => apply(twin, changed)) : apply(twin, put(request))
      )
    }

  const desire =
    (isPatch: boolean): Handler =>
    request => {
      const { context } = request
      if (!context['server.IsReplica'] && !host.user(context)) throw mayNotDesire()
      return change(request, 'desired', twin =>
        isPatch
          ? patched(request, twin.desired).then(({ next, named }) => withDesired(twin, next, named ?? {}))
          : withDesired(twin, request.input as Members)
      )
    }

  /** The handler behind the reading of the twins; it notes that the device was heard. */
  const ready =
    (handler: Handler): Handler =>
    request => {
      const run = (): unknown => {
        const { context } = request
        if (!context['server.IsNotification'] && !context['server.IsPrecondition'] && !context['server.IsReplica'])
          host.heard(keys.of(request.params), context)
        return handler(request)
      }
      const opening = host.open()
      return opening === undefined ? run() : opening.then(run)
    }

  const whole: Handler = ({ params, context }) => {
    const twin = documents.get(keys.of(params))
    if (twin === undefined) throw noTwin()
    const unchanged = notModified(context, twin, 'whole')
    if (unchanged !== undefined) return unchanged
    context.response.headers.set('etag', partTag(twin, 'whole', context))
    const { version, reported, desired, delta } = twin
    return { version, reported, desired, delta }
  }

  const remove: Handler = ({ params, context }) => {
    if (!context['server.IsReplica'] && !host.user(context)) throw mayNotDesire()
    const outcome = documents.delete(keys.of(params), twin => {
      if (twin === undefined) throw noTwin()
      assertWaits(context)
      if (hasPrecondition(context)) assertHolds(context, twin, 'whole')
    })
    const settled = (done: TwinChange): undefined => {
      kept(done, context)
      return undefined
    }
    return outcome instanceof Promise ? outcome.then(settled) : settled(outcome)
  }

  const changed = (part: TwinPart, handler: (isPatch: boolean) => Handler): TwinHandlers['reported'] => {
    const patch = ready(handler(true))
    return { get: ready(get(part)), put: ready(handler(false)), patch, ipatch: patch }
  }

  return {
    whole: { get: ready(whole), delete: ready(remove) },
    reported: changed('reported', report),
    desired: changed('desired', desire),
    delta: { get: ready(get('delta')) },
    presence: { get: ready(({ params }) => host.presenceOf(keys.of(params))) }
  }
}
