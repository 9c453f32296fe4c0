import type { Clock, Logger } from '@iopa/transport'
import type { BrokerSettings } from '../../options.ts'
import type { WriteBatches } from '../ports.ts'
import type { ClientEvents } from './client-events.ts'
import type { Journal } from './journal.ts'
import type { Statistics } from './statistics.ts'
import type { Turns } from './turns.ts'

/** What the parts of a broker run on; each part names the members that it uses. */
export interface Operation {
  readonly settings: BrokerSettings
  readonly clock: Clock
  readonly turns: Turns
  readonly batches: WriteBatches
  readonly journal: Journal
  readonly statistics: Statistics
  readonly events: ClientEvents
  readonly logger: Logger
}
