import type { Context } from '@iopa/transport'
import type { ClientConnection } from '../ports.ts'
import type { SubscriptionTable } from '../topics/subscription-table.ts'
import type { Topic } from '../topics/topic-table.ts'
import type { WillPublisher } from './ended-sessions.ts'
import type { Session, SessionPorts } from './session.ts'
import type { PendingWill } from './wills.ts'

/** An accepted CONNECT. */
export interface SessionRequest {
  readonly clientId: string
  readonly cleanStart: boolean
  readonly expiryInterval: number
  readonly will: PendingWill | null
}

/** What the sessions use of the rest of the broker. */
export interface SessionsPorts {
  readonly session: SessionPorts
  readonly subscriptions: SubscriptionTable
  /** Makes the scope of a session, with what middleware has put on that of its connection. */
  readonly scope: (connection: ClientConnection) => Context
  readonly publishWill: WillPublisher
  /** Observes a topic in the name of a session. */
  readonly observe: (session: Session, topic: Topic) => void
}
