import type { StoreRecord } from '../store.ts'

/**
 * The record with its dates moved by so many milliseconds. A running broker measures in time that has passed, which a jump of the wall
 * clock does not change; a store holds dates, which have a meaning after a restart.
 */
export function moved(record: StoreRecord, by: number): StoreRecord {
  if (record.kind === 'retained' && record.value && record.value.expiresAt !== 0) {
    return { ...record, value: { ...record.value, expiresAt: date(record.value.expiresAt, by) } }
  }
  if (record.kind === 'session' && record.value && record.value.expiresAt !== null) {
    return { ...record, value: { ...record.value, expiresAt: date(record.value.expiresAt, by) } }
  }
  if (record.kind === 'message' && record.value && record.value.message.expiresAt !== 0) {
    const { message } = record.value
    return { ...record, value: { ...record.value, message: { ...message, expiresAt: date(message.expiresAt, by) } } }
  }
  return record
}

// 0 would mean never; a millisecond earlier is as expired.
const date = (time: number, by: number): number => Math.round(time + by) || -1
