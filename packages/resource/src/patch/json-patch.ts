import { IopaError } from '@iopa/constants'
import { applyPatch, type Operation } from 'rfc6902'
import { isRecord } from '../representation.ts'
import { isEqualJson, isNestedDeeper } from './json-values.ts'

/** Operations of one patch: each may move all items of an array. */
const MOST_OPERATIONS = 1000
/** What all copies of one patch may add to a state, in characters of its JSON: a copy of a copy doubles. */
const MOST_COPIED = 1024 * 1024

/** Arrays and objects inside each other, as a JSON body may have: operations can put deep values into one another. */
const DEEPEST = 1000

const POINTER = /^(?:\/(?:[^~/]|~[01])*)*$/
const FORBIDDEN = ['__proto__', 'constructor', 'prototype']
const OPERATIONS: Readonly<Record<string, 'value' | 'from' | ''>> = {
  add: 'value',
  replace: 'value',
  test: 'value',
  remove: '',
  move: 'from',
  copy: 'from'
}

const malformed = (n: number, why: string): IopaError => new IopaError(400, 'malformed-patch', `The operation ${n} of the JSON Patch ${why}.`)

/** The operations of a JSON Patch (RFC 6902). @throws IopaError 400 for what is none, 413 for one of too many operations. */
export const operationsOf = (body: unknown): readonly Operation[] => {
  if (!Array.isArray(body)) throw new IopaError(400, 'malformed-patch', 'A JSON Patch is an array of operations.')
  if (body.length > MOST_OPERATIONS) throw tooLarge(`more than ${MOST_OPERATIONS} operations`)
  body.forEach(checkOperation)
  return body as Operation[]
}

const checkOperation = (operation: unknown, n: number): void => {
  if (!isRecord(operation)) throw malformed(n, 'is not an object')
  const { op, path, from } = operation
  const needs = typeof op === 'string' && Object.hasOwn(OPERATIONS, op) ? OPERATIONS[op] : undefined
  if (needs === undefined) throw malformed(n, `has an op that is none of ${Object.keys(OPERATIONS).join(', ')}`)
  checkPointer(n, 'path', path)
  if (needs === 'from') checkPointer(n, 'from', from)
  if (needs === 'value' && !Object.hasOwn(operation, 'value')) throw malformed(n, 'needs a value')
  if (op === 'move' && `${path as string}/`.startsWith(`${from as string}/`) && path !== from) throw malformed(n, 'moves a value into itself')
}

const checkPointer = (n: number, name: string, pointer: unknown): void => {
  if (typeof pointer !== 'string' || !POINTER.test(pointer)) throw malformed(n, `needs a JSON pointer as ${name}, such as /level`)
  if (pointer.split('/').some(step => FORBIDDEN.includes(step)))
    throw new IopaError(400, 'forbidden-key', `The operation ${n} of the JSON Patch names a member that is not allowed: ${FORBIDDEN.join(', ')}.`)
}

const tooLarge = (what: string): IopaError =>
  new IopaError(413, 'patch-too-large', `The JSON Patch has ${what}: send the change in parts, or PUT the state.`)

const tooDeep = (): IopaError => tooLarge(`operations that nest the state more than ${DEEPEST} levels deep`)

/**
 * The state after the operations, all of them or none; the given state is not touched.
 * @throws IopaError 409 `patch-conflict` where one does not fit the state, 413 where it would grow or be nested too much.
 */
export const jsonPatch = (state: unknown, operations: readonly Operation[]): unknown => {
  // The document has a member of its own for the whole, which an operation may replace.
  const root = { state: structuredClone(state) }
  let copied = 0
  operations.forEach((operation, n) => {
    if (operation.op === 'copy') {
      const value = valueAt(root.state, operation.from)
      if (isNestedDeeper(value, DEEPEST)) throw tooDeep()
      copied += JSON.stringify(value)?.length ?? 0
      if (copied > MOST_COPIED) throw tooLarge('copies that make the state too large')
    }
    checkPlaces(root.state, operation, n)
    if (operation.op === 'test') {
      // The library compares by the difference of two arrays, which takes the product of their lengths.
      if (isEqualJson(valueAt(root.state, operation.path), operation.value)) return
      throw conflict(n, operation, 'the test failed')
    }
    const [fault] = applyPatch(root, [placed(operation)])
    if (fault instanceof Error) throw conflict(n, operation, 'no such member')
  })
  if (isNestedDeeper(root.state, DEEPEST)) throw tooDeep()
  return root.state
}

const conflict = (n: number, { op, path }: Operation, why: string): IopaError =>
  new IopaError(
    409,
    'patch-conflict',
    `The operation ${n} of the JSON Patch, ${op} ${path === '' ? 'the whole' : path}, does not fit the state (${why}).`
  )

/** The operation below the member that holds the state. */
const placed = (operation: Operation): Operation => {
  const path = `/state${operation.path}`
  if (operation.op === 'move' || operation.op === 'copy') return { ...operation, path, from: `/state${operation.from}` }
  return { ...operation, path }
}

const stepsOf = (pointer: string): string[] =>
  pointer
    .split('/')
    .slice(1)
    .map(step => step.replaceAll('~1', '/').replaceAll('~0', '~'))

const INDEX = /^(?:0|[1-9][0-9]{0,15})$/
/** They put a value where none need be. */
const ADDS = ['add', 'copy', 'move']

/** Every step must be an own member, which the library does not ask for: `/toString/x` would reach into the prototype. @throws IopaError 409. */
const checkPlaces = (state: unknown, operation: Operation, n: number): void => {
  const isThere = (pointer: string, adds: boolean): boolean => {
    let at = state
    const steps = stepsOf(pointer)
    for (const [depth, step] of steps.entries()) {
      if (typeof at !== 'object' || at === null) return false
      if (adds && depth === steps.length - 1) return !Array.isArray(at) || step === '-' || (INDEX.test(step) && Number(step) <= at.length)
      if (!Object.hasOwn(at, step) || (Array.isArray(at) && !INDEX.test(step))) return false
      at = (at as Record<string, unknown>)[step]
    }
    return true
  }
  const there = isThere(operation.path, ADDS.includes(operation.op)) && (!('from' in operation) || isThere(operation.from, false))
  if (!there) throw conflict(n, operation, 'no such member')
}

/** The value of a member; undefined where there is none. */
const valueAt = (state: unknown, pointer: string): unknown => {
  let at = state
  for (const step of stepsOf(pointer)) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, step)) return undefined
    at = (at as Record<string, unknown>)[step]
  }
  return at
}
