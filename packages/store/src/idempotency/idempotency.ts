import type { Context, Next } from '@iopa/appbuilder'
import { type AppHandle, checkOptions, type Extension, markFactory, type Storage } from '@iopa/appbuilder/extension'
import { type Clock, systemClock, userKeyOf } from '@iopa/transport'
import { memory } from '../storage/memory.ts'
import { leaveStorage, takeStorage } from '../storage-keys.ts'
import { limitsOf } from '../store-limits.ts'
import { IdempotentRequests } from './idempotent-requests.ts'
import { keptAnswer, keptError } from './kept-answer.ts'
import { type AnswerLimits, KeptAnswers } from './kept-answers.ts'

/** Most that `idempotency()` keeps. */
export interface IdempotencyLimits {
  /** Answers; 10,000 unless given. */
  readonly entries?: number
  /** Answers of one user; 1,000 unless given. Users that are not authenticated count as one. */
  readonly entriesPerUser?: number
  /** Bytes of all answers; 16 MiB unless given. */
  readonly bytes?: number
  /** Bytes of one answer; 64 KiB unless given. */
  readonly answerBytes?: number
  /** Hours that an answer is kept; 24 unless given. */
  readonly hours?: number
}

/** Options of `idempotency()`. */
export interface IdempotencyOptions {
  /** Where answers are kept; in memory unless given. It may be that of a store. */
  readonly storage?: Storage
  readonly limits?: IdempotencyLimits
  /** That of the machine unless given. */
  readonly clock?: Clock
}

/** Middleware for an app, a route or a resource. */
export interface Idempotency extends Extension<object> {
  invoke(context: Context, next: Next): unknown
  /** Leaves its storage, which ends with the last store that uses it. The app that it was added to does so by itself. Idempotent. */
  close(): Promise<void>
}

const OPTIONS: Record<keyof IdempotencyOptions, true> = { storage: true, limits: true, clock: true }
const LIMITS: Required<IdempotencyLimits> = { entries: 10_000, entriesPerUser: 1000, bytes: 2 ** 24, answerBytes: 2 ** 16, hours: 24 }
const PREFIX = '\0idempotency\0'
const HOUR = 3_600_000

/**
 * A POST with the header `idempotency-key` is handled once: a retry with the same key gets the same status, headers and body, also after a restart.
 * It stands behind authentication, for keys are those of a user.
 */
export const idempotency = (options: IdempotencyOptions = {}): Idempotency => {
  checkOptions('idempotency()', options, OPTIONS, idempotency)
  const { storage, limits, clock = systemClock } = options
  if (storage !== undefined) takeStorage(storage, PREFIX)
  const requests = new IdempotentRequests(new KeptAnswers(storage ?? memory(), PREFIX, answerLimits(limits), clock))
  let closing: Promise<void> | undefined
  let warned = false
  /** Warns where the key of a request is that of another user than the request: the answer must not be kept, for it could be given to others. */
  const isMisplaced = (context: Context, owner: string): boolean => {
    if (userKeyOf(context.user) === owner) return false
    if (!warned) context.logger.warn('iopa: idempotency() stands before the authentication and keeps nothing: put it behind.')
    warned = true
    return true
  }
  const close = (): Promise<void> => {
    closing ??= storage === undefined ? Promise.resolve() : leaveStorage(storage, PREFIX)
    return closing
  }
  return {
    name: 'idempotency',
    extend(app: AppHandle) {
      app.defer(close)
      return {}
    },
    invoke: (context, next) => {
      if (context['iopa.Method'] !== 'POST') return next()
      return requests.run(context, async keeper => {
        if (keeper === null) return next()
        const before = new Map(context.response.headers)
        const owner = userKeyOf(context.user)
        let value: unknown
        try {
          value = await next()
        } catch (error) {
          const kept = keptError(error)
          if (kept !== null && !isMisplaced(context, owner)) await keeper.keep(kept)
          throw error
        }
        const kept = keptAnswer(context, before)
        if (kept !== null && !isMisplaced(context, owner)) await keeper.keep(kept)
        return value
      })
    },
    close
  }
}

markFactory('idempotency()', idempotency as never)

/** @throws IopaError 500 `bad-option`. */
export const answerLimits = (given: IdempotencyLimits = {}): AnswerLimits => {
  const { hours, ...limits } = limitsOf('idempotency()', LIMITS, given)
  return { ...limits, age: hours * HOUR }
}
