/** Every word of the portal in English; the other languages have the type of this record, so a missing key does not compile. */
import type { LetterLabel } from '../../../methods/escrow/label.ts'
import { isolate } from './isolate.ts'

export const en = {
  locale: 'en-GB',
  dir: 'ltr',
  footer: { label: 'About this page', help: 'Help', privacy: 'Privacy', reference: 'Reference' },
  facts: {
    from: 'From',
    to: 'To',
    cc: 'Copy to',
    written: 'Written',
    until: 'Can be read until',
    reference: 'Reference',
    subject: 'Subject',
  },
  home: {
    title: 'Letters',
    lead: (organisation: string) => `Here ${isolate(organisation)} keeps letters that are too confidential for ordinary e-mail.`,
    open: 'To read yours, open the link in the e-mail that told you about it. Every letter has its own link.',
    real: 'You typed this address yourself? Then you are in the right place: a link in our e-mail begins with exactly this address.',
    lost: 'You cannot find the e-mail? Look in the folder for unwanted mail, or ask the person who wrote to you to send it again.',
  },
  landing: {
    document: (sender: string) => `A letter from ${isolate(sender)}`,
    title: (sender: string) => `${isolate(sender)} has written to you`,
    lead: (organisation: string) =>
      `Because of what it contains, ${isolate(organisation)} keeps this letter in its own mailroom instead of sending it as ordinary e-mail.`,
    next: 'When you continue, we send a short code to your address. We never ask for a password.',
    nextPhrase: 'When you continue, we ask for the four words that the person who wrote tells you. We never ask for a password.',
    again: 'That took too long, so nothing was sent. Please press Continue once more.',
    button: 'Continue',
    notYou: 'Not you? Tell us',
    realTitle: 'Not sure this is real?',
    real: (host: string) =>
      `Type ${isolate(host)} into your browser yourself, or call the person who wrote on the number you already have. You need not hurry.`,
  },
  code: {
    document: 'Enter the code',
    title: 'Enter the code from your e-mail',
    onItsWay: (address: string) => `A code is on its way to ${isolate(address)}. It usually takes less than a minute.`,
    sent: (address: string, at: string) => `We sent a code to ${isolate(address)} at ${at}.`,
    words: 'The e-mail with the right code names these two words:',
    worksUntil: (at: string) => `It works until ${at}.`,
    worksFor: 'It works for ten minutes once it has been handed to your mail server.',
    label: 'Code',
    hint: 'Spaces do not matter. You can also paste the whole line.',
    button: 'Continue',
    resend: 'Send a new code',
    resendLead: 'Nothing there? Look in the folder for unwanted mail first.',
    resendAt: (at: string) => `You can ask for a new code from ${at}.`,
    limited: (at: string, words: string) => `No new code was sent: please use the one of ${at}, with the words ${isolate(words)}.`,
    ended: (at: string) => `The last code worked until ${at}. Please ask for a new one below.`,
    leave: 'You can switch to your mail and come back: this page stays as it is.',
    problem: 'There is a problem',
    empty: 'Type the code from the e-mail into the box.',
    wrong: (left: number) =>
      left === 1
        ? 'That is not one of the codes we sent. You have one more try.'
        : `That is not one of the codes we sent. You have ${left} more tries.`,
    noTries: 'This page has no tries left. The code itself still works: open the link in the first e-mail again and press Continue.',
    spent: 'There were many wrong tries, so the codes no longer work. We are sending you a longer one now.',
    again: 'That took too long, so nothing was done. Please try once more.',
  },
  phrase: {
    document: 'Enter the four words',
    title: 'Enter the four words',
    lead: (sender: string) =>
      `This letter opens with four words that ${isolate(sender)} tells you, by telephone or face to face. They are in no e-mail to you.`,
    label: 'The four words',
    hint: 'Capitals, commas and spaces do not matter. You can switch away and come back: this page stays as it is.',
    empty: 'Type all four words into the box.',
    wrong: (left: number) =>
      left === 1
        ? 'These are not the words of this letter. You have one more try.'
        : `These are not the words of this letter. You have ${left} more tries.`,
    noTries: 'This page has no tries left. The words themselves still work: open the link again and press Continue.',
    busy: 'Many people are entering words at this moment. That was no try: please press Continue once more.',
  },
  status: {
    title: 'Your letter',
    lead: 'This page is for the person who wrote the letter. It shows how the letter stands; nobody can read it here.',
    button: 'Continue',
    to: 'To',
    sealed: 'Sealed',
    notified: 'Notice accepted',
    handed: 'Handed over to you',
    read: 'First read',
    waits: 'The letter is sealed here. Its notice could not be delivered yet.',
    lastReply: 'What stands in the way',
    nextTry: 'Next try',
    handedOver: 'You were mailed a link and four words for the reader. The letter has not been read yet.',
    told: 'The notice with the link was accepted by the mail server of the reader. The letter has not been read yet.',
    wasRead: 'The letter was read.',
    recalled: 'You took the letter back. It was destroyed, and nobody can open it any more.',
    expired: 'The letter has expired. It was destroyed, and nobody can open it any more.',
    wait: 'Wait',
    waitText: 'We try to deliver the notice again by ourselves, and tell you if it fails in the end. Nothing changes.',
    waitButton: 'Go on waiting',
    waitDone: 'The letter stays sealed',
    waitDoneText: 'Nothing was changed. We try to deliver the notice again by ourselves.',
    handOver: 'Hand the link over another way',
    handOverText: 'We mail you a new link and four words. You give the reader both, each another way. The notice is taken back.',
    handOverChoose: 'Hand over the link …',
    handOverAgain: 'Have new link and words',
    handOverAgainText: 'Were link or words lost? We mail you new ones; the old ones no longer work.',
    handOverAgainChoose: 'Ask for new link and words …',
    handOverSure: 'Yes, mail me link and words, and take the notice back.',
    handOverButton: 'Mail me link and words',
    handOverDone: 'Link and words are on their way to your mailbox',
    cancel: 'Cancel the letter',
    cancelText: 'The letter is destroyed, and its notice is not sent.',
    cancelChoose: 'Cancel this letter …',
    cancelRead: (at: string) => `The letter was already read on ${at}. What was read cannot be taken back.`,
    cancelSure: 'Yes, destroy this letter for good.',
    cancelButton: 'Cancel the letter',
    back: 'Back, nothing changes',
    unsure: 'Nothing was done: please tick the box first.',
    again: 'That took too long, so nothing was done. Please try once more.',
    busy: 'The notice is being delivered at this very moment. Please try again in a few minutes.',
    limited:
      'Nothing was done: you were mailed link and words several times within the last hour. The newest of them still work. New ones can be had in an hour.',
    stale: 'The letter has changed in the meantime, so nothing was done. This is how it stands now.',
    unknown: {
      title: 'We do not know this link',
      text: 'Perhaps a part of it is missing, or a newer e-mail about this letter has another one.',
      next: 'The letter itself is not touched by this. If its notice could not be delivered in the end, you were told by e-mail.',
    },
    lost: {
      title: 'Please open the link again',
      text: 'This page was closed: half an hour had passed, it was opened in another browser, or cookies are switched off.',
      next: 'Nothing was changed. Open the link in the e-mail again.',
    },
  },
  letter: {
    noSubject: 'Letter without a subject',
    until: (date: string) => `You can read this letter until ${date}, as often as you like.`,
    files: 'Files',
    file: (name: string) => `Download ${isolate(name)}`,
    unnamed: 'file',
    body: 'Text of the letter',
    alone: 'Open the text on its own',
    aloneHint: 'for a larger view and for printing',
    asText: 'View as plain text',
    asHtml: 'View as it was designed',
    save: 'Save as e-mail (.eml)',
    pictures: 'Pictures from other servers are not shown, so that nobody learns when you read this.',
    unreadable: 'We cannot show this letter here, but it is complete. Save it and open it with a mail program.',
    shortened: 'The letter is very long; only its beginning is shown here. Save it to read all of it.',
    empty: 'This letter has no text.',
    close: 'Close this letter',
    closeHint: 'On a computer that others use, close the letter when you have finished.',
    why: 'Why a letter?',
  },
  label: {
    'by-rule': 'The sender, or a rule of the organisation, wants this kind of letter to be kept under lock.',
    'too-large': 'It is too large for your mail server.',
    'clear-path':
      'Your mail server takes e-mail only without encryption. Whoever taps that path could read the link and the code of this letter.',
    'broken-tls':
      'The encryption of your mail server does not work at the moment. Whoever taps that path could read the link and the code of this letter.',
    'unproven-tls': 'Your mail server encrypts, but did not prove that it is really yours.',
    'no-key': 'This letter was to be encrypted for you, and the sender has no key of yours.',
    'handed-over': 'Its notice could not be delivered to your mail server, so the person who wrote gave you link and words.',
  } satisfies Record<LetterLabel, string>,
  gone: {
    expired: {
      title: 'This letter has expired',
      text: (date: string) => `It could be read until ${date}. It has been destroyed and nobody can open it any more.`,
      next: 'If you still need it, ask the person who wrote to send it again.',
    },
    recalled: {
      title: 'This letter was taken back',
      text: 'The sender has taken the letter back. It has been destroyed.',
      next: 'If you expected it, ask the person who wrote.',
    },
    superseded: {
      title: 'There is a newer link to this letter',
      text: 'The letter was sent to you again, and the newer e-mail has the link that works.',
      next: 'Look for the latest e-mail with the same reference.',
    },
    unknown: {
      title: 'We do not know this link',
      text: 'Perhaps a part of it is missing: some mail programs break long links in two.',
      next: 'Open the link from the e-mail again, or copy it in full, up to the last character. If that does not help, ask the person who wrote to you to send the letter again.',
    },
    lost: {
      title: 'Please open the link again',
      text: 'This page was closed: half an hour had passed, it was opened in another browser, or cookies are switched off.',
      next: 'The letter itself is safe. Open the link in the e-mail again.',
    },
    closed: {
      title: 'The letter is closed',
      text: 'Nothing of it stays open in this browser.',
      next: 'To read it again, open the link in the e-mail.',
    },
  },
  notMe: {
    title: 'Is this letter not for you?',
    text: (sender: string) => `We can tell ${isolate(sender)} that the notice reached the wrong person. You need not do anything else.`,
    keep: 'You cannot break anything: the letter stays closed, and whoever it is meant for can still read it.',
    button: 'Tell the sender',
    back: 'Back',
    doneTitle: 'Thank you',
    doneText: 'The sender has been told. You can delete the e-mail.',
  },
  help: {
    title: 'Help',
    items: [
      {
        question: 'What is this?',
        answer:
          'Somebody has written to you. Because of what it contains, the letter waits here, locked, instead of travelling as ordinary e-mail.',
      },
      {
        question: 'Where is my code?',
        answer:
          'In a second e-mail to the same address, with eight digits at the beginning of its subject. Look in the folder for unwanted mail as well. Some mail systems hold back the first e-mail for a few minutes.',
      },
      {
        question: 'How do I know that this is real?',
        answer:
          'Compare the address of this page with the one in the e-mail, letter by letter. We never ask for a password or for money. If you are unsure, call the person who wrote on a number you already have.',
      },
      {
        question: 'Can I keep the letter?',
        answer:
          'Yes. Save it as an e-mail and open it with any mail program. Until the date on the page you can also come back as often as you like.',
      },
      {
        question: 'How do I answer?',
        answer:
          'In this version, please answer by ordinary e-mail or by telephone. Ordinary e-mail is not protected the way this letter is.',
      },
      {
        question: 'The link does not work',
        answer: 'Copy it in full from the e-mail. If the letter has expired, ask the person who wrote to send it again.',
      },
    ],
  },
  privacy: {
    title: 'Privacy',
    items: [
      {
        question: 'What is stored?',
        answer:
          'The letter, locked; your e-mail address; and when the notice was sent, when the link was visited, and when the letter was first read. The sender may see those times.',
      },
      {
        question: 'Who can read the letter?',
        answer:
          'Whoever has the link in the e-mail and can receive the code at the same address. The key is in the link: the disk of this server alone cannot open the letter.',
      },
      {
        question: 'Cookies',
        answer:
          'One cookie keeps the letter open while you read. It holds no name and ends after twelve hours, or when you close the letter.',
      },
      {
        question: 'Others',
        answer: 'This site loads nothing from anybody else and has no trackers. Pictures on other servers are not fetched.',
      },
      { question: 'How long?', answer: 'The letter is destroyed after the date that stands on it.' },
    ],
  },
  error: {
    notFound: { title: 'There is no such page', text: 'Please open the link in the e-mail that told you about your letter.' },
    notHere: { title: 'This address does not belong here', text: 'The letters of this organisation are at another address.' },
    refused: {
      title: 'That did not come from our page',
      text: 'For your safety nothing was done. Please open the link in the e-mail again.',
    },
    malformed: { title: 'We could not understand that', text: 'Nothing was done. Please go back and try again.' },
    tooMany: {
      title: 'Too many attempts',
      text: (at: string) => `There were many wrong attempts from your network. Please try again after ${at}. Your letter is safe.`,
    },
    fault: { title: 'Something went wrong on our side', text: 'Nothing is lost. Please try again in a minute.' },
    back: 'Back to the beginning',
  },
}

export type Messages = typeof en
