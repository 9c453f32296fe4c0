import type { SecuredTarget } from '@iopa/transport'
import type { ClientSessions, ResumableSession } from '../handshake/resumption.ts'
import { copyOf, wipe } from '../suites/key-schedule.ts'
import type { SessionStore } from './session-store.ts'

/** The server as it was named and where it was: another one gets no session of it. */
const nameOf = ({ host, address, port }: SecuredTarget): string => `${host} ${address} ${port}`

/** The newest session with each server. No ticket is asked for: the id that the server gives serves as well. */
export const clientSessions = (store: SessionStore): ClientSessions => ({
  offer(target: SecuredTarget): { readonly session?: ResumableSession } {
    const session = store.get(nameOf(target))
    return session === undefined ? {} : { session }
  },
  store(target: SecuredTarget, session: ResumableSession): void {
    // RFC 7627 5.2: without an extended master secret it is not resumed.
    if (session.id.length > 0 && session.extendedMasterSecret) store.add(nameOf(target), { ...session, id: copyOf(session.id) })
    else wipe(session.masterSecret)
  },
  forget: target => store.delete(nameOf(target))
})
