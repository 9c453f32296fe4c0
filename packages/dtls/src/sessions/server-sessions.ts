import { randomBytes } from 'node:crypto'
import { ALERT, HandshakeFailure } from '../alerts.ts'
import { EXTENSION } from '../handshake/extensions.ts'
import type { ClientHello } from '../handshake/hello.ts'
import type { ResumableSession, ServerSessions } from '../handshake/resumption.ts'
import { wipe } from '../suites/key-schedule.ts'
import type { SessionStore } from './session-store.ts'

const ID_LENGTH = 32
const NONE = new Uint8Array(0)

const nameOf = (id: Uint8Array): string => Buffer.from(id).toString('latin1')
const hasExtendedMasterSecret = ({ extensions }: ClientHello): boolean => extensions.has(EXTENSION.EXTENDED_MASTER_SECRET)

/** Sessions by their ids (RFC 5246 section 7.3). Tickets are not given: what is kept here can be revoked. */
export const serverSessions = (store: SessionStore): ServerSessions => ({
  find(hello: ClientHello, signal: AbortSignal): ResumableSession | undefined | Promise<ResumableSession | undefined> {
    const name = nameOf(hello.sessionId)
    const session = store.get(name)
    if (session === undefined) return undefined
    // RFC 7627 5.3: not to be answered by a full handshake either.
    if (!hasExtendedMasterSecret(hello))
      throw new HandshakeFailure(ALERT.HANDSHAKE_FAILURE, 'A session with an extended master secret cannot be resumed without one.')
    const counts = session.identity.stillCounts?.(signal) ?? true
    if (typeof counts === 'boolean') return decide(store, name, session, counts)
    // A question that was broken off has no answer: to begin a handshake with an id that was overheard must not end the session of that id.
    return counts.then(settled => decide(store, name, session, settled || signal.aborted))
  },
  // Without an extended master secret a session is bound to no handshake, and another server could have it resumed as his own (RFC 7627 section 1).
  newId: hello => (hasExtendedMasterSecret(hello) ? randomBytes(ID_LENGTH) : NONE),
  givesTicket: () => false,
  store(session: ResumableSession): void {
    // Its name says the id: once is enough for all that are kept.
    if (session.id.length > 0 && session.extendedMasterSecret) store.add(nameOf(session.id), { ...session, id: NONE })
    else wipe(session.masterSecret)
  }
})

const decide = (store: SessionStore, name: string, session: ResumableSession, counts: boolean): ResumableSession | undefined => {
  if (!counts) store.delete(name)
  // It may have been revoked meanwhile.
  if (store.has(name)) return session
  wipe(session.masterSecret)
  return undefined
}
