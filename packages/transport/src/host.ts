/**
 * The other side of the contract: what an app needs that serves transports and makes clients of them. Apps and transports do not import it.
 */

export { argumentError, checkSurplus, factoryName, kindOf } from './arguments/arguments.ts'
export { callSite } from './arguments/call-site.ts'
export { AnswerQueue, NEWEST_ONLY } from './client/answer-queue.ts'
export type { ClientOwner } from './client/client-owner.ts'
export { CONNECT_OPTIONS, connectPeer, connectWith, transportFor } from './client/connect.ts'
export { marked, markedCopy, marking } from './client/upstream.ts'
export { ACTIVITY, ActivityFeed } from './connections/activity.ts'
export type { AppCounters } from './connections/counters.ts'
export { COUNTERS } from './connections/counters.ts'
export { withinTime } from './contract/clock.ts'
export { prefixed } from './contract/routes.ts'
export { FailureLog } from './errors/failure-log.ts'
export { sharedError } from './errors/shared-error.ts'
export { USERS } from './users/user-watches.ts'
export { contentTag, matchesStrongly, matchesWeakly, tagsIn } from './validators/entity-tags.ts'
export { formatHttpDate, parseHttpDate } from './validators/http-dates.ts'
