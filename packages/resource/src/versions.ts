import type { ResourceContract } from '@iopa/appbuilder/extension'
import { IopaError } from '@iopa/constants'
import { withoutMembers } from './representation.ts'
import type { ServedRequest } from './served-request.ts'

/** The field that names the version of a state, where that is not 1: of answers, of PUT, and of the messages that workers share. */
export const STATE_VERSION = 'state-version'

/** What a request says of the version of its state; a replica without a word is of version 1, and any other one of the present version. */
const versionOf = ({ context }: ServedRequest, present: number): number => {
  const field = context.headers.get(STATE_VERSION)
  if (field === undefined) return context['server.IsReplica'] ? 1 : present
  if (!/^[1-9][0-9]{0,8}$/.test(field)) throw new IopaError(400, 'bad-state-version', `The header ${STATE_VERSION} is a whole number from 1.`)
  return Number(field)
}

/** The state of the present version from the body of a PUT: without computed members, and migrated. @throws IopaError 409 `not-migrated`. */
export const presentState = ({ pattern, computed, version, migrate }: ResourceContract): ((request: ServedRequest, body: unknown) => unknown) => {
  const names = Object.keys(computed ?? {})
  return (request, body) => {
    const state = names.length === 0 ? body : withoutMembers(body, names)
    // The first version says nothing of itself: a request of a client need not be looked at.
    if (version === 1 && !request.context['server.IsReplica']) return state
    const given = versionOf(request, version)
    if (given === version) return state
    try {
      if (given < version && migrate !== undefined) return migrate(state, given)
    } catch (cause) {
      throw notMigrated(pattern, given, version, cause)
    }
    throw notMigrated(pattern, given, version)
  }
}

const notMigrated = (pattern: string, given: number, version: number, cause?: unknown): IopaError =>
  new IopaError(
    409,
    'not-migrated',
    `The state of ${pattern} has version ${given}, which cannot be made version ${version} here.`,
    cause === undefined ? {} : { cause }
  )
