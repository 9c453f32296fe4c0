const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

// RFC 9110 section 5.6.7: IMF-fixdate, and the two obsolete forms that a recipient must accept.
const IMF = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT$/
const RFC850 = /^(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (\d\d)-([A-Z][a-z]{2})-(\d\d) (\d\d):(\d\d):(\d\d) GMT$/
const ASCTIME = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d) (\d{4})$/

/** Milliseconds since the epoch of an HTTP-date, or undefined for anything else, which a recipient must ignore (RFC 9110 section 13.1.3). */
export const parseHttpDate = (text: string): number | undefined => {
  let parts = IMF.exec(text)
  if (parts !== null) return utc(parts[3]!, parts[2]!, parts[1]!, parts[4]!, parts[5]!, parts[6]!)
  parts = RFC850.exec(text)
  if (parts !== null) return utc(fullYear(parts[3]!), parts[2]!, parts[1]!, parts[4]!, parts[5]!, parts[6]!)
  parts = ASCTIME.exec(text)
  if (parts !== null) return utc(parts[6]!, parts[1]!, parts[2]!, parts[3]!, parts[4]!, parts[5]!)
  return undefined
}

/** The IMF-fixdate of a time in milliseconds since the epoch; fractions of a second are cut. */
export const formatHttpDate = (time: number): string => new Date(time).toUTCString()

// RFC 9110 section 5.6.7: a two-digit year more than 50 years ahead lies in the past.
const fullYear = (digits: string): string => {
  const now = new Date().getUTCFullYear()
  const year = now - (now % 100) + Number(digits)
  return String(year > now + 50 ? year - 100 : year)
}

const utc = (year: string, month: string, day: string, hour: string, minute: string, second: string): number | undefined => {
  const index = MONTHS.indexOf(month)
  const [d, h, m, s] = [Number(day), Number(hour), Number(minute), Number(second)]
  if (index < 0 || d < 1 || d > 31 || h > 23 || m > 59 || s > 60) return undefined
  return Date.UTC(Number(year), index, d, h, m, s)
}
